"""What an exception says, in bounded time and size, whatever its class, its chain and its text are."""

import traceback
from collections.abc import Iterator
from contextlib import suppress

MAX_TEXT_CHARACTERS = 2_000
MAX_TRACE_CHARACTERS = 20_000
MAX_EXCEPTIONS = 10
"""Of one chain, groups included: those nearest to the one that was raised."""
MAX_MEMBERS = 3
"""Of one group."""
MAX_FRAMES = 30
"""Of one exception: those nearest to where it was raised."""
MAX_NOTES = 10
CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"
MEMBER = "\nThe above exception is a member of the following group:\n\n"
LEFT_OUT = "(what came before is left out)\n"


def text_of(error: BaseException, *, name: bool = True) -> str:
    """Class and message. `name` False: the message alone."""
    try:
        text = _cut(str(error))
    except BaseException:  # MemoryError and SystemExit too
        text = "(its message cannot be printed)"
    return _cut(f"{type(error).__name__}: {text}" if name else text)


def trace_of(error: BaseException) -> str:
    """Nearly as Python prints it; the end of it where it is long."""
    parts: list[str] = []
    try:
        for found, joint in _chain(error):
            parts += [joint, LEFT_OUT if found is None else "".join(_lines(found))]
    except BaseException:
        parts.append("(more cannot be printed)\n")
    return "".join(reversed(parts))[-MAX_TRACE_CHARACTERS:]


def let_go(error: BaseException) -> None:
    """Frees what the frames of an exception hold: where memory is exhausted, that is most of it."""
    with suppress(BaseException):
        for found, _ in _chain(error):
            if found is not None:
                traceback.clear_frames(found.__traceback__)


def _chain(error: BaseException) -> Iterator[tuple[BaseException | None, str]]:
    """The exception, what led to it, and what leads from each to the one before in this order. None: there are more."""
    seen: set[int] = set()
    waiting = [(error, "")]
    while waiting:
        found, joint = waiting.pop()
        if id(found) in seen:
            continue
        if len(seen) == MAX_EXCEPTIONS:
            yield None, joint
            return
        seen.add(id(found))
        yield found, joint
        if found.__cause__ is not None:
            waiting.append((found.__cause__, CAUSE))
        elif found.__context__ is not None and not found.__suppress_context__:
            waiting.append((found.__context__, CONTEXT))
        members = getattr(found, "exceptions", ())
        if isinstance(members, tuple):
            waiting += [(one, MEMBER) for one in members[:MAX_MEMBERS] if isinstance(one, BaseException)]


def _lines(error: BaseException) -> Iterator[str]:
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from traceback.extract_tb(error.__traceback__, limit=-MAX_FRAMES).format()
    yield text_of(error) + "\n"
    notes = getattr(error, "__notes__", ())
    if isinstance(notes, list):
        yield from (_cut(str(note)) + "\n" for note in notes[:MAX_NOTES])


def _cut(text: str) -> str:
    return str.__getitem__(text, slice(MAX_TEXT_CHARACTERS))  # past what a class of its own may do with an index
