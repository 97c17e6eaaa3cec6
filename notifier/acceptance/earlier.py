"""What a site says of one person's acceptance from before our record, and how it stands in a table. Pure."""

import csv
import difflib
from typing import Annotated, Any, Self

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from notifier.errors import Fault, Invalid
from notifier.people.person import ExternalId, date_too
from notifier.policies.version import Label
from notifier.sites.preset import Baseline
from notifier.sites.site import Moment, Slug

Note = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
LONGEST_RECORD = 64 * 1024  # of a table, over all its lines


class Earlier(BaseModel):
    """One person's acceptance of one version from before our record, and what shows it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    external_id: ExternalId = Field(description="The site's own id of the person.")
    policy: Slug
    version: Label = Field(description="The label of a published version.")
    proof: Baseline = Field(
        description="proved: there is proof, and it is named here. imported: the site's word alone. "
        "unknown: nobody knows whether they accepted it."
    )
    accepted_at: Annotated[Moment | None, BeforeValidator(date_too)] = Field(
        None, strict=False, description="When; needed where it is proved."
    )
    via: Note = Field("", description="How, in your words: which form, contract or system.")
    reference: Note = Field("", description="Where the proof is kept, in your words.")
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="Of the proof, in hexadecimal."
    )

    @model_validator(mode="after")
    def _says_what_it_claims(self) -> Self:
        if self.proof == "proved" and (self.accepted_at is None or not (self.reference or self.sha256)):
            raise ValueError("proved needs accepted_at, and a reference or the sha256 of the proof; else say imported")
        if self.proof == "unknown" and self.accepted_at is not None:
            raise ValueError("who accepted at a known time is no unknown; say imported, or leave accepted_at out")
        return self

    @property
    def digest(self) -> bytes | None:
        """The SHA-256 of the proof, as bytes."""
        return None if self.sha256 is None else bytes.fromhex(self.sha256)


class CsvRecords:
    """The records of a table, fed line by line, as JSON. Commas, semicolons and tabs all separate.

    Empty cells are left out. Raises Invalid for an unknown column, and for text that is no table.
    """

    def __init__(self) -> None:
        self._columns: list[str] = []
        self._delimiter = ","
        self._open = ""  # of a record whose quoted cell goes on in the next line
        self._number = 0

    def feed(self, line: bytes) -> bytes:
        """The record that ends with this line; empty where none does."""
        self._number += 1
        text = self._open + self._decoded(line)
        if text.count('"') % 2:
            if len(text) > LONGEST_RECORD:
                raise self._broken("a quoted cell does not end")
            self._open = text + "\n"
            return b""
        self._open = ""
        if self._columns:
            return self._record(self._cells(text)) if text.strip() else b""
        self._delimiter = max(",;\t", key=text.count)
        self._columns = self._named(self._cells(text))
        return b""

    def end(self) -> None:
        """No more lines come."""
        if self._open:
            raise self._broken("a quoted cell does not end")

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode("utf-8-sig" if self._number == 1 else "utf-8").rstrip("\r")
        except UnicodeDecodeError as error:
            raise self._broken("not UTF-8; save the table as UTF-8") from error

    def _cells(self, text: str) -> list[str]:
        try:
            return next(csv.reader(text.splitlines(keepends=True), delimiter=self._delimiter, strict=True), [])
        except csv.Error as error:
            raise self._broken(str(error)) from error

    def _named(self, head: list[str]) -> list[str]:
        columns, known = [name.strip() for name in head], list(Earlier.model_fields)
        for name in columns:
            if name not in known or columns.count(name) > 1:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"perhaps {near[0]}" if near and name not in known else "known, once each: " + ", ".join(known)
                raise self._broken(f"{name!r} cannot be a column: {hint}")
        return columns

    def _record(self, cells: list[str]) -> bytes:
        record: dict[str, Any] = {name: cell for name, cell in zip(self._columns, cells, strict=False) if cell}
        if len(cells) > len(self._columns):
            record["more cells than columns"] = cells[len(self._columns) :]
        return orjson.dumps(record)

    def _broken(self, detail: str) -> Invalid:
        return Invalid(
            "the table cannot be read on; what was read before is kept", [Fault(f"line {self._number}", detail)]
        )
