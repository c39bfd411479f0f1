"""Tables with quotes that are wrong: rows before and behind are read, and the line where the quote opens is named."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tokenmask.cli.manifests import rows
from tokenmask.cli.quoted import LONGEST
from tokenmask.corpus import Corpus

ENDED = "opens a quote that is not closed as it should be (unexpected end of data), so it is not read"
CLOSE = 'close it, and write "" for a quote inside of a cell'


def read(path: Path, text: str, **options: bool) -> tuple[list[str], list[str]]:
    """Words of the rows that are records, and what is wrong with the others."""
    path.write_text(text)
    found = list(rows(path, ["text"], **options))
    return [row.values["text"] for row in found if not row.problem], [row.problem for row in found if row.problem]


@pytest.mark.parametrize("name", ["t.csv", "t.txt"])
def test_a_quote_that_nothing_closes_takes_the_rest_and_no_more(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    said = f"line 4 of {path} {ENDED} with the 3 lines behind it; {CLOSE}"
    held = 'key,text\n1,a\n2,"b, ""c"""\n3,"open\n4,d\n5,e\n6,f\n'
    assert read(path, held, as_csv=name == "t.txt") == (["a", 'b, "c"'], [said])


@pytest.mark.parametrize(
    ("rest", "good", "said"),
    [
        ('3,"open', [], f"line 2 of PATH {ENDED}; {CLOSE}"),
        ('3,"open\n', [], f"line 2 of PATH {ENDED}; {CLOSE}"),
        (
            '3,"open\n4,"d"\n5,e\n',  # the quote of the next row closes it, and letters follow
            ["e"],
            "line 2 of PATH opens a quote that is not closed as it should be (',' expected after '\"'), so it is not "
            f"read with the 1 line behind it; {CLOSE}",
        ),
        (
            '"two\nlines","open\nlast\n',
            [],
            f"line 3 of PATH {ENDED} with the 1 line behind it, nor the 1 line before it that the row begins with; "
            f"{CLOSE}",
        ),
        (
            '3,"a"b\n4,d\n',
            ["d"],
            "line 2 of PATH must be one of a CSV table, but is not (',' expected after '\"'); mend",
        ),
        ('3,a "b" c\n4,"two\nlines"\n', ['a "b" c', "two\nlines"], ""),
        (
            "3," + "x" * (LONGEST + 1) + "\n4,d\n",
            ["d"],
            f"line 2 of PATH must be one of a CSV table, but is not (a cell has more than {LONGEST} characters); mend",
        ),
    ],
)
def test_which_line_opens_it_and_what_is_read_behind(tmp_path: Path, rest: str, good: list[str], said: str) -> None:
    path = tmp_path / "t.csv"
    found, wrong = read(path, f"key,text\n{rest}")
    assert found == good and len(wrong) == bool(said)
    assert all(one.startswith(said.replace("PATH", str(path))) for one in wrong)


def test_a_quote_in_the_first_line_refuses_the_table(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"line 1 of .*t\.csv opens a quote .* with the 1 line behind it"):
        read(tmp_path / "t.csv", 'key,"text\n1,a\n')


def test_a_corpus_keeps_the_other_rows_and_its_exit_code_says_so(tmp_path, run, call, capsys) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "t.csv").write_text('key,text\nk1,a\nk2,b\nk3,"open\nk4,d\n')
    tokenizer = ("--tokenizer", f"text={run.folder / 'tokenizers/text'}")
    assert call("corpus", "build", tmp_path / "t.csv", "--out", tmp_path / "c", *tokenizer) == 1
    printed = capsys.readouterr()
    assert "2 records written, 0 there before, 1 failed" in printed.out
    assert f"line 4 of {tmp_path / 't.csv'} {ENDED} with the 1 line behind it" in printed.err
    assert [record.key for record in Corpus(tmp_path / "c")] == ["k1", "k2"]


def test_an_array_of_json_that_breaks_off_keeps_what_is_before(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    found, (wrong,) = read(path, '[{"text": "a"}, {"text": "b"}, {"te')
    assert found == ["a", "b"]
    assert wrong.startswith(
        f"what stands behind element 2 of {path} is not read, since it is no part of a JSON array ("
    )
    assert wrong.endswith("; mend it there")
    with pytest.raises(ValueError, match=r"t\.json must be a JSON array of objects"):
        read(path, '[{"te')


def test_a_wrong_row_has_one_number(tmp_path: Path) -> None:
    """That of the line where its quote opens, in the item's name and in its sentence."""
    (tmp_path / "t.csv").write_text('text\na\n"two\nlines"\n"open\nc\nd\n')
    found = list(rows(tmp_path / "t.csv", ["text"]))
    assert [(row.number, row.values.get("text")) for row in found] == [(2, "a"), (4, "two\nlines"), (5, None)]
    assert found[-1].problem.startswith(f"line 5 of {tmp_path / 't.csv'} opens a quote")
    assert found[-1].where == f"line 5 of {tmp_path / 't.csv'}"


def test_cells_as_long_as_books_are_read_and_the_limit_of_csv_stays(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    book = "words, " * 100_000
    assert read(tmp_path / "t.csv", f'key,text\n1,"{book}"\n2,b\n') == ([book, "b"], [])
    assert csv.field_size_limit() == before == 131072


@pytest.mark.parametrize("separator", [",", "|", ";"])
def test_blanks_behind_every_separator_are_no_part_of_cells(tmp_path: Path, separator: str) -> None:
    """As in results.csv of Flickr30k, and before quotes; where the names have none, blanks are words."""
    held = f'key{separator} note{separator} text\n1{separator} x{separator} a cat \n2{separator} y{separator} "b"\n'
    assert read(tmp_path / "t.csv", held) == (["a cat ", "b"], [])
    assert read(tmp_path / "t.csv", f"key{separator}text\n1{separator} a\n") == ([" a"], [])


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_formulas_that_stand_for_words_are_those_words(tmp_path: Path, name: str) -> None:
    sign = "," if name == "t.csv" else "\t"
    held = f'key{sign}text\n="1"{sign}"=""007"""\n2{sign}="b\n3{sign}a="b"\n'
    with pytest.warns(UserWarning, match=rf'{name}: cells like ="x" are formulas for spreadsheets and are read as x'):
        assert read(tmp_path / name, held) == (["007", '="b', 'a="b"'], [])


def test_rows_that_are_short_are_counted_and_empty_ones_above_the_names_are_none(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"2 rows with fewer than the 3 cells .* \(the first is line 5\)"):
        assert read(tmp_path / "t.csv", "\n;;\ntext;key;x\na;1;2\nb;2\n\nc\n") == (["a", "b", "c"], [])
