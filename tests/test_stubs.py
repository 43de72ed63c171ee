"""The signatures that type checkers see are those of the classes."""

import inspect

import whyloss
from whyloss import stubs
from whyloss.losses.catalogue import catalogue, function_name


def test_the_stub_is_up_to_date() -> None:
    assert stubs.FILE.read_text() == stubs.text(), "run `make stubs`"


def test_the_stub_says_what_the_functions_take() -> None:
    for cls in catalogue().values():
        name = function_name(cls)
        _, found, rest = stubs.text().partition(f"def {name}(\n")
        assert found
        parameters = [line.strip().partition(":")[0] for line in rest.partition(") ->")[0].splitlines()]
        signature = inspect.signature(getattr(whyloss.functional, name))
        assert set(parameters) - {"*,"} == set(signature.parameters)
