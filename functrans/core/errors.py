"""The errors a user meets: each is a sentence that names the line, what was wrong, the way out."""

from __future__ import annotations

from functrans.core.source import user_line


class FunctransError(Exception):
    """Base of every error that functrans itself raises; its message names the user's line."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        # as an attribute, which a pickle restores: the line that unpickles is not at fault
        self.line = user_line()

    def __str__(self) -> str:
        """The message, with the line after its first sentence unless it has it already."""
        message = super().__str__()
        if self.line.strip() in message:
            return message
        first, *advice = message.split("\n")
        return "\n".join([first + self.line, *advice])


class ShapeError(FunctransError, ValueError):
    """Shapes that do not fit together, or an axis that does not exist."""


class DTypeError(FunctransError, TypeError):
    """A value or dtype that the operation does not take."""


class IndexingError(FunctransError, IndexError):
    """An index that the array does not have, or that is no index."""


class ConcretizationError(FunctransError, TypeError):
    """Python asked for the value of something that is only known when the program runs."""


class LeakedTracerError(FunctransError, RuntimeError):
    """A tracer was used after, or outside, the trace that made it."""


class OutOfMemoryError(FunctransError, MemoryError):
    """A function or loop needs more memory for what it keeps or returns than there is."""

    advice = (
        "Reverse mode keeps what the backward pass reads of every step of a loop: "
        "scan, fori_loop and while_loop with checkpoint=k keep k carries and compute "
        "the rest again; checkpoint(f) keeps the arguments of f only."
    )


class ProgramError(FunctransError, ValueError):
    """A Program that is not well formed; raised by `Program.check`."""


class TransformError(FunctransError, TypeError):
    """A transform was given a function, argument or argument number that it cannot use."""


class TreeError(FunctransError, ValueError):
    """Pytrees whose structures differ; the message names the path of the leaf."""
