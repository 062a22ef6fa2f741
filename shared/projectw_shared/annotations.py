"""Type annotations, taken apart and put together again."""

import types
from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Annotated, Any, Union, get_args, get_origin


def rewritten(kind: Any, change: Callable[[Any], Any]) -> Any:
    """Return the annotation ``kind`` with ``change`` applied to each plain type in it.

    Looks inside ``Annotated``, unions, lists, dicts and tuples; anything else goes to ``change`` as it is.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return Annotated[(rewritten(arguments[0], change), *arguments[1:])]
    if origin in (types.UnionType, Union):
        return reduce(or_, (rewritten(each, change) for each in arguments))
    if origin in (list, dict, tuple):
        return origin[tuple(rewritten(each, change) for each in arguments)]
    return change(kind)
