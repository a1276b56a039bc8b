"""What a coordinate is judged by, and what was found out of it."""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 1.5
"""K: an error bar counts this many times when a verdict is reached."""

AGREE, DISAGREE, OPEN = 0, 1, 2

NOISY = "func is too noisy here"
JUMP = "func jumps here"
NOT_SMOOTH = "func is not smooth at any step that its noise allows"
BENDS = "func bends, or is noisy, by as much within eps"
NOT_FINITE = "func is not finite near here"
EXHAUSTED = "max_evals reached"
KINK = "not differentiable here"


@dataclass(frozen=True)
class Question:
    """What a coordinate is to be judged by.

    Parameters
    ----------
    analytic : float
    rtol : float
        Relative tolerance.
    atol : float
        Absolute tolerance.
    dust : float
        By how much rounding in the analytic gradient itself may be off; see `within`.
    goal_rtol, goal_atol : float
        The error bar that settles it: ``goal_atol + goal_rtol·max(|a|, |n|)``.
    """

    analytic: float
    rtol: float
    atol: float
    dust: float
    goal_rtol: float
    goal_atol: float

    def size(self, numeric: float) -> float:
        """Return max(|a|, |n|), which tolerances are relative to."""
        return max(abs(self.analytic), abs(numeric))

    def within(self, numeric: float, error: float) -> bool:
        """Return whether analytic and numeric are equal as far as `error` can tell."""
        gap = abs(self.analytic - numeric)
        if gap <= self.atol + self.rtol * self.size(numeric) + CONFIDENCE * error:
            return True
        # Terms that cancel leave dust in the analytic entry.  A numeric value that stands clear
        # of its error bar shows a gradient that is there, and dust is no excuse.
        return gap <= self.dust and abs(numeric) <= 10 * CONFIDENCE * error

    def settled(self, numeric: float, error: float) -> bool:
        """Return whether `error` is small enough for agreement to mean something."""
        return CONFIDENCE * error <= self.goal_atol + self.goal_rtol * self.size(numeric)


@dataclass(frozen=True)
class Answer:
    """What was found out of one coordinate."""

    value: float
    error: float
    verdict: int
    reason: str = ""
    slopes: tuple[float, float] | None = None
