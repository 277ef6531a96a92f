"""The AWS operations of CloudWatch Logs, one method each, split by noun; all stand on one LogStore."""

from __future__ import annotations

from lambent.services.logs.operations.events import EventOperations
from lambent.services.logs.operations.groups import GroupOperations
from lambent.services.logs.operations.streams import StreamOperations
from lambent.services.logs.operations.tags import TagOperations


class LogsOperations(GroupOperations, StreamOperations, EventOperations, TagOperations):
    """What edge registers for `logs`."""
