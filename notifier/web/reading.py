"""From a request to a pydantic model: what does not fit is refused with a pointer to every field."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar, get_origin

import orjson
from aiohttp import web
from multidict import MultiDictProxy, MultiMapping
from pydantic import BaseModel, BeforeValidator, ValidationError

from notifier.errors import Fault, Invalid, Malformed, NotFound, faults_of, pointer_of
from notifier.web.lines import in_time

Model = TypeVar("Model", bound=BaseModel)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# JSON has one kind of number, so 60.0 is whole as well (JSON Schema, 4.2.3); true is not.
Whole = Annotated[int, BeforeValidator(_whole)]

_NUL = "has a NUL character, which no text may hold; remove it"


def read_json(model: type[Model], raw: bytes) -> Model:
    """A JSON body. Raises Malformed when it is not JSON in UTF-8, Invalid when it does not fit."""
    if b"\\u0000" in raw:
        _refuse_nul(raw)
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid":
            raise Malformed(f"the body is not JSON in UTF-8: {first['msg']}") from None
        raise Invalid("the body does not fit; nothing was kept", faults_of(error)) from None


def _refuse_nul(raw: bytes) -> None:
    try:
        faults = [Fault(pointer, _NUL) for pointer in _nul_places(orjson.loads(raw), "")]
    except (orjson.JSONDecodeError, RecursionError):
        return  # the model says what is wrong with it
    if faults:
        raise Invalid("the body does not fit; nothing was kept", faults)


def _nul_places(value: Any, pointer: str) -> Iterator[str]:
    if isinstance(value, str) and "\0" in value:
        yield pointer
    elif isinstance(value, dict):
        for name, inner in value.items():
            if "\0" in name:
                yield pointer
            yield from _nul_places(inner, pointer + pointer_of([name]))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _nul_places(inner, pointer + pointer_of([index]))


def read_path(model: type[Model], given: Mapping[str, str]) -> Model:
    """The path's parameters. Raises NotFound: nothing lies under a name that cannot be one."""
    try:
        return model.model_validate(dict(given))
    except ValidationError:
        raise NotFound("nothing lies under this address: a part of it cannot be a name here") from None


def read_query(model: type[Model], given: MultiMapping[str]) -> Model:
    """The query's parameters. Raises Invalid for unknown, repeated and ill-fitting ones."""
    lists = {name for name, info in model.model_fields.items() if get_origin(info.annotation) in (list, tuple)}
    values: dict[str, Any] = {name: given.getall(name) if name in lists else given[name] for name in given}
    faults = [Fault(f"?{name}", "is given twice; give it once") for name in given if _repeated(given, name, lists)]
    faults += [Fault(f"?{name}", _NUL) for name in set(given) if any("\0" in text for text in given.getall(name))]
    if not faults:
        try:
            return model.model_validate(values)
        except ValidationError as error:
            faults = [Fault("?" + fault.pointer.removeprefix("/"), fault.detail) for fault in faults_of(error)]
    raise Invalid("the query does not fit", sorted(set(faults), key=lambda fault: fault.pointer))


def _repeated(given: MultiMapping[str], name: str, lists: set[str]) -> bool:
    return name not in lists and len(given.getall(name)) > 1


async def read_form(request: web.Request) -> MultiDictProxy[Any]:
    """The fields of a form of our own pages. Raises Malformed for anything that browsers do not send from them."""
    if request.content_type.startswith("multipart/") or (request.charset or "utf-8").lower() != "utf-8":
        raise web.HTTPUnsupportedMediaType(text="send this as application/x-www-form-urlencoded in UTF-8")
    async with in_time():
        try:
            return await request.post()
        except ValueError:
            raise Malformed("this is not a form in UTF-8") from None
