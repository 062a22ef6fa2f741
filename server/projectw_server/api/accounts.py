"""The account of the person who asks."""

from projectw_server.accounts.principals import Person
from projectw_server.api.doors import Doors
from projectw_server.api.identity import Who
from projectw_server.clock import moment
from projectw_shared import routes
from projectw_shared.accounts import User

doors = Doors("accounts")


@doors.door("GET", routes.ME, Who.USER, gives=User)
async def me(person: Person) -> User:
    """Tell who is signed in."""
    created_at = moment(person.created_at)
    assert created_at is not None, "an account has a beginning"
    return User(person.id, person.email, person.is_admin, created_at)
