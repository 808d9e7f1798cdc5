"""Many items worked on by processes that may be lost, here or on other machines."""

from lsml.workers.choice import LOCAL as LOCAL
from lsml.workers.choice import workers_for as workers_for
from lsml.workers.task import Answer as Answer
from lsml.workers.task import Task as Task
from lsml.workers.task import WorkerLostError as WorkerLostError
from lsml.workers.task import Workers as Workers
