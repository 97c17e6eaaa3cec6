"""Tables in a comparison stay tables: rows, columns, and the head above them."""

from notifier.pages import Pages
from notifier.policies.diff import compare
from notifier.policies.folding import Row
from notifier.policies.redline import shown, to_markdown

OLD = """## Data

| Kind | Law | Kept |
|---|---|---|
| Name | CCPA | 5 years |
| Visits | CCPA | 1 year |
"""


def rows(old: str, new: str, media_type: str = "text/markdown") -> list[list[str]]:
    """Each row's cells with their marks; a fold is one row "…"."""
    found: list[list[str]] = []
    for section in shown(compare(media_type, old.encode(), media_type, new.encode())):
        for fold in section.folds:
            made = [cells(row) for block in fold.blocks for row in block.rows]
            found += [["…"]] if fold.folded else made
    return found


def cells(row: Row) -> list[str]:
    marks = {"same": "{}", "removed": "-{}-", "added": "+{}+"}
    made: list[str] = []
    for slot in row.slots:
        made += [""] * slot.empty
        made.append("/".join("".join(marks[p.op].format(p.text) for p in clause.pieces) for clause in slot.clauses))
    return made


def test_a_figure_that_changed_stands_in_its_row_and_column() -> None:
    assert rows(OLD, OLD.replace("5 years", "3 years")) == [
        ["Kind", "Law", "Kept"], ["Name", "CCPA", "-5- +3+ years"], ["Visits", "CCPA", "1 year"],
    ]  # fmt: skip


def test_a_row_that_came_or_went_is_a_row_of_its_own() -> None:
    longer = OLD.replace("| Visits", "| Place | GDPR | 2 years |\n| Visits")
    came = ["+Place+", "+GDPR+", "+2 years+"]
    assert rows(OLD, longer)[2] == came
    went = ["-Place-", "-GDPR-", "-2 years-"]
    assert rows(longer, OLD) == [
        ["Kind", "Law", "Kept"], ["Name", "CCPA", "5 years"], went, ["Visits", "CCPA", "1 year"],
    ]  # fmt: skip


def test_a_column_that_went_stands_struck_out_in_every_row() -> None:
    without = "## Data\n\n| Kind | Kept |\n|---|---|\n| Name | 5 years |\n| Visits | 1 year |\n"
    assert rows(OLD, without) == [
        ["Kind", "-Law-", "Kept"], ["Name", "-CCPA-", "5 years"], ["Visits", "-CCPA-", "1 year"],
    ]  # fmt: skip


def test_rows_far_from_a_change_are_folded_and_the_head_stands_above_what_is_left() -> None:
    long = "## Data\n\n| Kind | Kept |\n|---|---|\n" + "".join(f"| thing {n} | {n} years |\n" for n in range(20))
    assert rows(long, long.replace("| 12 years", "| 99 years")) == [
        ["…"], ["Kind", "Kept"], ["thing 11", "11 years"], ["thing 12", "-12- +99+ years"], ["thing 13", "13 years"],
        ["…"],
    ]  # fmt: skip


def test_empty_spanned_and_many_lined_cells_keep_the_columns() -> None:
    html = (
        "<h2>Data</h2><table><tr><th>A</th><th>B</th><th>C</th></tr>"
        "<tr><td rowspan=2>a<br>b</td><td></td><td>c</td></tr><tr><td colspan=2>d {}</td></tr>"
        "<tr><td colspan=2>e</td><td>f<table><tr><td>g</td></tr></table></td></tr></table>"
    )
    found = rows(html.format("old"), html.format("new"), "text/html")
    assert found == [["A", "B", "C"], ["a/b", "", "c"], ["", "d -old-+new+"], ["e", "", "f/g"]]


def test_two_tables_in_a_row_stay_two() -> None:
    old = OLD + "\n| Who | Where |\n|---|---|\n| Us | Japan |\n"
    [section] = shown(compare("text/markdown", old.encode(), "text/markdown", old.replace("Japan", "Peru").encode()))
    [last] = section.folds[-1].blocks[-1:]
    assert [cells(row) for row in last.rows] == [["Who", "Where"], ["Us", "-Japan-+Peru+"]]


def test_markdown_has_the_rows_as_a_table() -> None:
    new = OLD.replace("5 years", "3 years")
    text = to_markdown(compare("text/markdown", OLD.encode(), "text/markdown", new.encode()), Pages().tongue("en").t)
    assert "| Kind | Law | Kept |\n| --- | --- | --- |\n| Name | CCPA | ~~5~~ **3** years |\n" in text


def test_a_cell_that_was_replaced_whole_shows_both_in_one_cell() -> None:
    old = "<h2>A</h2><table><tr><td><b>one</b><br>x</td><td>y</td></tr></table>"
    new = "<h2>A</h2><table><tr><td>another thing altogether</td><td>y</td></tr></table>"
    assert rows(old, new, "text/html")[-1][-1] == "y"
    assert len(rows(old, new, "text/html")[-1]) == 2


def test_a_section_that_moved_and_was_edited_is_shown_as_both() -> None:
    parts = ["## A\n\nAbout the first of all things.\n", "## B\n\nAbout the second of all things here.\n",
             "## C\n\nAbout the third of all things there.\n"]  # fmt: skip
    moved = [parts[2].replace("third", "third and fourth"), *parts[:2]]
    found = compare("text/markdown", "\n".join(parts).encode(), "text/markdown", "\n".join(moved).encode())
    assert "## Edited: C _(moved here)_" in to_markdown(found, Pages().tongue("en").t)
    assert "Edited" in (page := Pages().render("diff/redline.html.j2", "en", old="a", new="b", locale="en", verdict="",
                                               sections=shown(found), noise={}))  # fmt: skip
    assert page.index("moved here") < page.index("About the third")


def test_a_paragraph_that_went_from_a_cell_stands_in_that_cell() -> None:
    old = "<h2>A</h2><table><tr><td>one thing<br>two things<br>three things</td><td>y</td></tr></table>"
    new = old.replace("two things<br>", "")
    assert rows(old, new, "text/html") == [["one thing/-two things-/three things", "y"]]
