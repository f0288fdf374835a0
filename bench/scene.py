"""What a row gets to work with, and how much of it a run is to measure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from tests.support.broker import Broker
from tests.support.postgres import Database, PostgresServer
from tests.support.rabbitmq import RabbitServer

T = TypeVar("T")


class Scale(StrEnum):
    """How much is measured."""

    FULL = "full"
    QUICK = "quick"
    #: Whether everything works; its figures mean nothing.
    SMOKE = "smoke"

    def pick(self, full: T, quick: T, smoke: T) -> T:
        """The one of the three that fits."""
        return {Scale.FULL: full, Scale.QUICK: quick, Scale.SMOKE: smoke}[self]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A database, a virtual host and a folder of the row's own."""

    scale: Scale
    database: Database
    broker: Broker
    folder_name: str

    @property
    def folder(self) -> Path:
        return Path(self.folder_name)


class Servers:
    """The PostgreSQL and the RabbitMQ of a whole run."""

    def __init__(self, postgres: PostgresServer, rabbitmq: RabbitServer) -> None:
        self._postgres = postgres
        self._rabbitmq = rabbitmq

    def set_scene(self, scale: Scale, folder: Path) -> Scene:
        """Everything new, whatever an earlier row has left behind."""
        self._postgres.ensure_running()
        self._rabbitmq.ensure_running()
        broker = self._rabbitmq.create_host()
        broker.declare_openfarm_topology()
        database = self._postgres.create_database()
        return Scene(scale=scale, database=database, broker=broker, folder_name=str(folder))

    def clear(self, scene: Scene) -> None:
        """Remove what a row has left behind."""
        self._postgres.drop_database(scene.database)
        self._rabbitmq.delete_host(scene.broker)
