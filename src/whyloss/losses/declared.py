"""A loss as a declaration: the annotated fields of its class are its parameters.

`Declared` turns them into a keyword-only constructor, buffers for tensors, and a repr of what is not default; what is
made of them (numbers, tables, inner losses) follows when one of them changes."""

import dataclasses
from itertools import count
from typing import Any, ClassVar, dataclass_transform
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

# Every loss that lives, by its handle: a number can go where an object cannot, into an operator of torch.compile.
KNOWN: "WeakValueDictionary[int, Declared]" = WeakValueDictionary()
_handles, _states = count(), count()


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(dataclasses.field,))
class Declared(nn.Module):
    """An nn.Module whose annotated class attributes are constructor arguments, as in a dataclass."""

    handle: ClassVar[int]  # one for each instance; ClassVar keeps it out of the constructor
    state: ClassVar[int]  # another after every change of an attribute
    noted: ClassVar[dict[str, Any]]  # what others found out about it as it is; empty after every change
    derived: ClassVar[tuple[str, ...]] = ()  # parameters that follow from the others, and are not given
    fixed: ClassVar[tuple[str, ...]] = ()  # parameters that cannot change once the loss is made

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(kw_only=True, eq=False, repr=False)(cls)
        # A default left on the class would hide a parameter or buffer of the same name on the instance.
        for name in cls.fields():
            if name in vars(cls):
                delattr(cls, name)

    def __new__(cls, *args: Any, **kwargs: Any) -> "Declared":
        self = super().__new__(cls)
        nn.Module.__init__(self)  # before the generated __init__ sets the first attribute
        self.__dict__["handle"] = next(_handles)
        self._changed()
        KNOWN[self.handle] = self
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in vars(self).items() if name not in ("handle", "state", "noted")
        }  # a copy has its own

    def _changed(self) -> None:
        self.__dict__["state"], self.__dict__["noted"] = next(_states), {}

    def __setattr__(self, name: str, value: Any) -> None:
        changes = "made" in vars(self) and name in getattr(type(self), "__dataclass_fields__", ())
        if changes and name in self.derived:
            raise AttributeError(f"{type(self).__name__}: {name} follows from the other parameters; change those.")
        if changes and name in self.fixed:
            raise AttributeError(
                f"{type(self).__name__}: {name} is fixed when the loss is made; make a new one with another {name}."
            )
        if not changes or isinstance(value, nn.Parameter):
            super().__setattr__(name, value)
            self._changed()
            return
        before: Any = getattr(self, name)
        super().__setattr__(name, _as_floats(value) if name in self._buffers else value)  # pyright: ignore[reportArgumentType]
        self._changed()
        try:
            self._follow()
        except ValueError:
            super().__setattr__(name, before)
            self._follow()
            raise

    def register_buffer(self, *args: Any, **kwargs: Any) -> None:
        super().register_buffer(*args, **kwargs)
        self._changed()

    def register_parameter(self, *args: Any, **kwargs: Any) -> None:
        super().register_parameter(*args, **kwargs)
        self._changed()

    def add_module(self, *args: Any, **kwargs: Any) -> None:
        super().add_module(*args, **kwargs)
        self._changed()

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # pyright: ignore[reportArgumentType]
            value = getattr(self, field.name)
            kind = str(field.type)
            if "Tensor" not in kind or isinstance(value, nn.Parameter | nn.Module):
                continue
            if "float" in kind and isinstance(value, int | float):
                continue  # a field that may be one number or many stays the number that it is
            self.__dict__.pop(field.name, None)
            self.register_buffer(field.name, _as_floats(value))
        for name in self.derived:
            given = getattr(self, name)
            self.require(given is self.fields()[name].default, f"no {name} besides the loss's own", given)
        self._follow()
        if type(self).compose is not Declared.compose:
            self.register_load_state_dict_post_hook(_loaded)

    def _follow(self) -> None:
        self.__dict__.pop("made", None)  # what follows may be set meanwhile
        try:
            self.check()
            self.derive()
            self.compose()
        finally:
            self.__dict__["made"] = True

    def _apply(self, *args: Any, **kwargs: Any) -> "Declared":
        super()._apply(*args, **kwargs)  # pyright: ignore[reportPrivateUsage]
        self.compose()
        self._changed()
        return self

    def derive(self) -> None:
        """Sets what is computed from the parameters: when the loss is made, and after each change of one; moving and
        loading carry it along. Losses extend it; what it sets of the parameters themselves they name in `derived`."""

    def derive_buffer(self, name: str, value: Tensor, persistent: bool = False) -> None:
        """A buffer that follows from the parameters; it stays on its device."""
        before = self._buffers.get(name)
        self.register_buffer(name, value if before is None else value.to(before), persistent=persistent)

    def compose(self) -> None:
        """Makes the losses that this one is made of, with the options that they share with it: when it is made, and
        after a parameter was set, moved or loaded."""

    def check(self) -> None:
        """Raises ValueError where a parameter is out of its range: when the loss is made, and when one is set, which
        then stays as it was. Losses extend it."""

    def require(self, holds: bool, expected: str, got: object) -> None:
        if not holds:
            raise ValueError(f"{type(self).__name__}: {expected} is needed, got {got!r}.")

    @classmethod
    def fields(cls) -> dict[str, dataclasses.Field[Any]]:
        """The parameters by name, with their types and defaults."""
        return {f.name: f for f in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]

    def changed(self) -> dict[str, Any]:
        """The parameters that differ from their defaults."""
        found: dict[str, Any] = {}
        for name, field in self.fields().items():
            value = getattr(self, name)
            if isinstance(value, Tensor) or isinstance(field.default, Tensor) or value != field.default:
                found[name] = value
        return found

    def extra_repr(self) -> str:
        return ", ".join(f"{k}={_brief(v)}" for k, v in self.changed().items() if not isinstance(v, nn.Module))


def _loaded(loss: nn.Module, keys: object) -> None:
    if isinstance(loss, Declared):
        loss.compose()


def _as_floats(value: Any) -> Tensor | None:
    if value is None:
        return None
    tensor = torch.as_tensor(value)
    return tensor if tensor.is_floating_point() else tensor.float()


def _brief(value: object) -> str:
    if isinstance(value, Tensor):
        return f"tensor{tuple(value.shape)}" if value.numel() > 8 else str(value.tolist())
    return repr(value)
