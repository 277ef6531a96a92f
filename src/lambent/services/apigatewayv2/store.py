"""The only SQL for `http_apis` and `http_api_deployments`: one document per API and one per deployment."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, String, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from lambent.services.apigatewayv2.domain import Deployment, HttpApi
from lambent.services.apigatewayv2.errors import ConflictException

_metadata = MetaData()
apis = Table(
    "http_apis",
    _metadata,
    #: Alone the key: requests name an API by nothing else.
    Column("id", String, primary_key=True),
    Column("account", String, nullable=False),
    Column("region", String, nullable=False),
    #: JSON.
    Column("document", LargeBinary, nullable=False),
)
deployments = Table(
    "http_api_deployments",
    _metadata,
    Column("api_id", String, primary_key=True),
    Column("id", String, primary_key=True),
    #: Counts up within the API.
    Column("number", Integer, nullable=False),
    Column("auto_deployed", Integer, nullable=False),
    Column("document", LargeBinary, nullable=False),
)

_encode = msgspec.json.encode
_decode_api = msgspec.json.Decoder(HttpApi).decode
_decode_deployment = msgspec.json.Decoder(Deployment).decode


class ApiStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def insert(self, tx: Connection, api: HttpApi) -> None:
        """Raises ConflictException where the id is taken, by whomever."""
        row = {"id": api.api_id, "account": api.account, "region": api.region, "document": _encode(api)}
        try:
            tx.execute(insert(apis).values(row))
        except IntegrityError:
            raise ConflictException(f"The API identifier {api.api_id} is in use.") from None

    def find(self, tx: Connection, account: str, region: str, api_id: str) -> HttpApi | None:
        row = tx.execute(
            select(apis.c.document).where(apis.c.id == api_id, apis.c.account == account, apis.c.region == region)
        ).scalar_one_or_none()
        return None if row is None else _decode_api(row)

    def replace(self, tx: Connection, api: HttpApi) -> None:
        tx.execute(update(apis).where(apis.c.id == api.api_id).values(document=_encode(api)))

    def delete(self, tx: Connection, api_id: str) -> None:
        tx.execute(delete(apis).where(apis.c.id == api_id))
        tx.execute(delete(deployments).where(deployments.c.api_id == api_id))

    def delete_all(self, tx: Connection) -> None:
        tx.execute(delete(apis))
        tx.execute(delete(deployments))

    def of_region(self, tx: Connection, account: str, region: str) -> list[HttpApi]:
        rows = tx.execute(
            select(apis.c.document).where(apis.c.account == account, apis.c.region == region).order_by(apis.c.id)
        )
        return [_decode_api(document) for document in rows.scalars()]

    def all(self, tx: Connection) -> list[HttpApi]:
        return [_decode_api(document) for document in tx.execute(select(apis.c.document)).scalars()]

    # ---- deployments -------------------------------------------------------------------------------------------

    def insert_deployment(self, tx: Connection, api_id: str, deployment: Deployment) -> None:
        last = tx.execute(
            select(deployments.c.number).where(deployments.c.api_id == api_id).order_by(deployments.c.number.desc())
        ).scalar()
        tx.execute(
            insert(deployments).values(
                api_id=api_id,
                id=deployment.deployment_id,
                number=(last or 0) + 1,
                auto_deployed=int(deployment.auto_deployed),
                document=_encode(deployment),
            )
        )

    def replace_deployment(self, tx: Connection, api_id: str, deployment: Deployment) -> None:
        tx.execute(
            update(deployments)
            .where(deployments.c.api_id == api_id, deployments.c.id == deployment.deployment_id)
            .values(document=_encode(deployment))
        )

    def find_deployment(self, tx: Connection, api_id: str, deployment_id: str) -> Deployment | None:
        row = tx.execute(
            select(deployments.c.document).where(deployments.c.api_id == api_id, deployments.c.id == deployment_id)
        ).scalar_one_or_none()
        return None if row is None else _decode_deployment(row)

    def deployments_of(self, tx: Connection, api_id: str) -> list[Deployment]:
        """The newest first."""
        rows = tx.execute(
            select(deployments.c.document).where(deployments.c.api_id == api_id).order_by(deployments.c.number.desc())
        )
        return [_decode_deployment(document) for document in rows.scalars()]

    def delete_deployment(self, tx: Connection, api_id: str, deployment_id: str) -> None:
        tx.execute(delete(deployments).where(deployments.c.api_id == api_id, deployments.c.id == deployment_id))

    def prune_deployments(self, tx: Connection, api_id: str, used: Iterable[str], keep: int) -> None:
        """Forget automatic deployments that no stage shows, but for the newest `keep`."""
        rows = tx.execute(
            select(deployments.c.id)
            .where(deployments.c.api_id == api_id, deployments.c.auto_deployed == 1)
            .order_by(deployments.c.number.desc())
            .offset(keep)
        )
        for deployment_id in set(rows.scalars()) - set(used):
            self.delete_deployment(tx, api_id, deployment_id)
