import pytest

from projectw_server.accounts.principals import Person
from projectw_server.jobs.claiming import Holder

from ..core import Core


@pytest.fixture
async def person(core: Core) -> Person:
    return await core.person()


@pytest.fixture
async def holder(core: Core) -> Holder:
    return await core.holder()
