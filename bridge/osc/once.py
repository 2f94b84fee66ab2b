"""Answers kept for a while, so that a command which comes twice is carried out once."""

from collections import OrderedDict

MAX_ANSWERS_KEPT = 1024
KEEP_ANSWERS_S = 60.0


class Answers:
    """What was answered to each numbered command of each peer within the last minute."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], tuple[float, list[bytes]]] = OrderedDict()

    def find(self, peer: str, number: int, now_s: float) -> list[bytes] | None:
        """Return the answers so far, or None if the command has not come."""
        kept_s, answers = self._kept.get((peer, number), (-KEEP_ANSWERS_S, []))
        return answers if now_s - kept_s < KEEP_ANSWERS_S else None

    def keep(self, peer: str, number: int, now_s: float, answers: list[bytes]) -> None:
        """Keep a list that answers are still added to; the oldest gives way."""
        self._kept[peer, number] = (now_s, answers)
        if len(self._kept) > MAX_ANSWERS_KEPT:
            self._kept.popitem(last=False)
