"""`POST /_lambent/reset`: the region as on its first day, for test suites. The operator's call alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from lambent.edge.local import json_response
from lambent.edge.operator import OperatorCheck
from lambent.ports import Resettable
from lambent.request import Request, Response

log = logging.getLogger(__name__)


class Reset:
    """Empties `parts` in order: what runs comes before what it writes to."""

    def __init__(self, parts: Sequence[Resettable], operator: OperatorCheck) -> None:
        self._parts = parts
        self._operator = operator

    async def post(self, request: Request) -> Response:
        self._operator.check(request)
        for part in self._parts:
            await part.reset()
        log.info("The region was reset.")
        return json_response({})
