"""Every claim is complete, in both languages, points at things that exist, and none of them says how it comes out."""

import re
from pathlib import Path

import pytest

import whyloss
from whyloss import claims as package
from whyloss.advise.finding import InputError
from whyloss.claims import book
from whyloss.claims.claim import Claim, Text
from whyloss.claims.words import FACTORS, LEVELS, VERDICTS

ARTICLES = tuple(f"S1-{n}" for n in (1, 2, 3, 4, 5, "6/8", 7, *range(9, 14))) + tuple(
    f"S2-{n}" for n in ("1", "2a", "2b", "3/16", "4", "5", "6/15", *range(7, 15))
)
FOLK = [f"F-{number}" for number in range(1, 11)]
CLAIMS = book.claims()
HERE = Path(package.__file__).parent
MODULES = [file.stem for file in (HERE / "sentences").glob("*.py")]


def texts(claim: Claim) -> list[Text]:
    found = [claim.sentence, claim.setting, claim.instead, *claim.words.values()]
    for statement in claim.statements:
        found += [statement.text, statement.measure]
    for panel in claim.panels:
        found += [panel.title, panel.x, panel.y]
    return found


def test_every_sentence_of_the_articles_is_there_in_its_order():
    ids = [claim.id for claim in CLAIMS]
    assert [name for name in ids if name.startswith("S")] == list(ARTICLES)
    assert len(ARTICLES) == 27
    assert [name for name in ids if name.startswith("F")] == FOLK
    assert len(set(ids)) == len(ids)


def test_the_five_contradictions_are_between_claims():
    pairs = {pair.sides for pair in book.contradictions()}
    expected = {("S1-5", "S1-6/8"), ("S1-4", "S2-14"), ("S2-6/15", "S2-7"), ("S2-8", "S2-11"), ("S2-4", "S2-13")}
    assert pairs == expected


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_claim_is_complete_in_both_languages(claim: Claim):
    for text in texts(claim):
        assert text.en.strip()
        assert text.zh.strip()
        assert not re.search(r"[\u4e00-\u9fff]", text.en), text.en
    for text in (claim.sentence, claim.setting, claim.instead):
        assert re.search(r"[\u4e00-\u9fff]", text.zh), text.zh
    keys = [statement.key for statement in claim.statements]
    assert keys
    assert len(set(keys)) == len(keys)
    assert claim.panels
    for statement in claim.statements:
        assert statement.margin > 0


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_what_to_do_instead_names_things_that_exist(claim: Claim):
    for text in (claim.instead.en, claim.instead.zh):
        code = re.findall(r"`([^`]+)`", text)
        assert code, text
        for name in re.findall(r"whyloss\.(\w+)", " ".join(code)):
            assert hasattr(whyloss, name), name
        for command in re.findall(r"whyloss (\w+)", " ".join(code)):
            assert command in ("advise", "claims", "show", "list"), command
    english, chinese = (set(re.findall(r"whyloss\.\w+|whyloss \w+", t)) for t in (claim.instead.en, claim.instead.zh))
    assert english == chinese


@pytest.mark.parametrize("module", MODULES)
def test_no_verdict_stands_in_the_source_of_a_claim(module: str):
    source = (HERE / "sentences" / f"{module}.py").read_text(encoding="utf-8")
    words = [word for text in VERDICTS.values() for word in (text.en, text.zh)]
    for word in words:
        found = re.search(rf"\b{word}\b" if word.isascii() else word, source, re.IGNORECASE)
        assert not found, f"{module}.py says {word!r}"


def test_ids_are_found_in_any_spelling_and_contradictions_bring_their_claims():
    claims, pairs = book.chosen(["s2-6", "S1-11"])
    assert [claim.id for claim in claims] == ["S1-11", "S2-6/15"]
    assert not pairs
    claims, pairs = book.chosen(["c-1"])
    assert [claim.id for claim in claims] == ["S1-5", "S1-6/8"]
    assert [pair.id for pair in pairs] == ["C-1"]
    everything, against = book.chosen([])
    assert (len(everything), len(against)) == (37, 5)


def test_an_unknown_id_lists_those_that_are_known():
    with pytest.raises(InputError, match=r"no claim 'S1-99'.*Did you mean.*Known are S1-1, "):
        book.chosen(["S1-99"])


def test_the_vocabulary_speaks_both_languages():
    for text in (*FACTORS.values(), *LEVELS.values(), *VERDICTS.values()):
        assert text.en.strip()
        assert text.zh.strip()
