"""The command palette: everything that can be done where one is, by its name."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from textual.binding import ActiveBinding
from textual.command import DiscoveryHit, Hit, Hits, Provider

from projectw_tui.keys import nodes_of, own_bindings, shown_keys


class Actions(Provider):
    """Offers the bindings of the screen and of the app, so that a new one is in the palette by itself."""

    async def discover(self) -> Hits:
        """Offer everything before a word is typed."""
        for active, title in self._offered():
            yield DiscoveryHit(title, self._command(active), help=_help(active))

    async def search(self, query: str) -> Hits:
        """Offer what fits the words."""
        matcher = self.matcher(query)
        for active, title in self._offered():
            if (score := matcher.match(title)) > 0:
                yield Hit(score, matcher.highlight(title), self._command(active), help=_help(active))

    def _offered(self) -> Iterator[tuple[ActiveBinding, str]]:
        own = {
            item.action
            for node in nodes_of(self.screen)
            for item in own_bindings(type(node))
            # Of what has the focus not every step of the cursor.
            if item.show or node in (self.screen, self.app)
        }
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if active.enabled and binding.action in own:
                own.remove(binding.action)
                yield active, binding.tooltip or binding.description

    def _command(self, active: ActiveBinding) -> partial[Any]:
        return partial(self.app.run_action, active.binding.action, active.node)


def _help(active: ActiveBinding) -> str:
    return f"key: {shown_keys(active.binding)}"
