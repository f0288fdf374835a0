"""Finds the printer's answer to one command among the lines of OctoPrint's terminal. Pure."""

from __future__ import annotations

import re

_SENT = "Send: "
_RECEIVED = "Recv: "
_NUMBERED = re.compile(r"N\d+\s+(?P<command>.*)\*\d+")
#: What a printer says of itself while it has nothing to do.
_IDLE = "wait"


class Dialogue:
    """Follows what is sent and acknowledged; a printer acknowledges in the order of sending."""

    def __init__(self, command: str) -> None:
        self.command = command
        self._plain = _plain(command)
        self._outstanding: list[str] = []
        #: What the printer has said to the command, with its `ok`.
        self.answer: list[str] = []
        self.sent = False
        self.done = False

    def take(self, line: str) -> None:
        """The next line of the terminal."""
        if self.done:
            return
        if line.startswith(_SENT):
            self._sent(line.removeprefix(_SENT))
        elif line.startswith(_RECEIVED):
            self._received(line.removeprefix(_RECEIVED).strip())

    def complaint(self, silent_s: float) -> str:
        """Why there is no whole answer, when nothing has come for so long."""
        if not self.sent:
            return (
                f"OctoPrint shows no sign of sending {self.command}: it keeps some commands to "
                "itself, such as M0 and what its settings block, and its terminal from users who "
                "may not see it"
            )
        said = f"; it said: {' / '.join(self.answer)}" if self.answer else ""
        return f"the printer has not acknowledged {self.command} within {silent_s:g} s{said}"

    def _sent(self, text: str) -> None:
        numbered = _NUMBERED.fullmatch(text.strip())
        command = _plain(numbered["command"] if numbered else text)
        self._outstanding.append(command)
        self.sent = self.sent or command == self._plain

    def _received(self, text: str) -> None:
        ours = self._outstanding[:1] == [self._plain]
        if ours and text != _IDLE:
            self.answer.append(text)
        if text.startswith("ok"):
            self._outstanding = self._outstanding[1:]
            self.done = ours


def _plain(command: str) -> str:
    """The command without its comment, as OctoPrint sends it."""
    return command.partition(";")[0].strip().upper()
