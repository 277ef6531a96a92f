"""The only SQL for the tables of REST APIs: an API is one document, so is a stage, and a deployment holds its API."""

from __future__ import annotations

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    delete,
    select,
)
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_in
from sqlalchemy.dialects.sqlite import insert as upsert_into
from sqlalchemy.exc import IntegrityError

from lambent.services.apigateway.domain import AccountSettings, Deployment, DeploymentSummary, RestApi, Stage
from lambent.services.apigateway.errors import ConflictException

_metadata = MetaData()
apis = Table(
    "apigateway_apis",
    _metadata,
    #: Unique in the whole region process: hosts and paths name an API by it alone.
    Column("id", String, primary_key=True),
    Column("account", String, nullable=False),
    Column("region", String, nullable=False),
    #: RestApi as JSON.
    Column("document", LargeBinary, nullable=False),
)
stages = Table(
    "apigateway_stages",
    _metadata,
    Column("api_id", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("deployment_id", String, nullable=False),
    #: Stage as JSON.
    Column("document", LargeBinary, nullable=False),
)
deployments = Table(
    "apigateway_deployments",
    _metadata,
    Column("api_id", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("created_s", Integer, nullable=False),
    #: Deployment as JSON, the API of that day in it.
    Column("document", LargeBinary, nullable=False),
)
accounts = Table(
    "apigateway_accounts",
    _metadata,
    Column("account", String, primary_key=True),
    Column("region", String, primary_key=True),
    #: AccountSettings as JSON.
    Column("document", LargeBinary, nullable=False),
)

_encode = msgspec.json.encode
_decode_api = msgspec.json.Decoder(RestApi).decode
_decode_stage = msgspec.json.Decoder(Stage).decode
_decode_deployment = msgspec.json.Decoder(Deployment).decode
#: Reads over the API without making objects of it.
_decode_summary = msgspec.json.Decoder(DeploymentSummary).decode
_decode_account = msgspec.json.Decoder(AccountSettings).decode


class ApiStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    # ---- APIs

    def insert_api(self, tx: Connection, api: RestApi) -> None:
        """Raises ConflictException where the id is taken, which only a chosen one can be."""
        row = {"id": api.id, "account": api.account, "region": api.region, "document": _encode(api)}
        try:
            tx.execute(insert_into(apis).values(row))
        except IntegrityError:
            raise ConflictException(f"The API identifier {api.id} is already in use") from None

    def find_api(self, tx: Connection, account: str, region: str, api_id: str) -> RestApi | None:
        found = tx.execute(
            select(apis.c.document).where(apis.c.id == api_id, apis.c.account == account, apis.c.region == region)
        ).scalar_one_or_none()
        return None if found is None else _decode_api(found)

    def replace_api(self, tx: Connection, api: RestApi) -> None:
        tx.execute(update_in(apis).where(apis.c.id == api.id).values(document=_encode(api)))

    def delete_api(self, tx: Connection, api_id: str) -> None:
        """With its stages and deployments."""
        for table in (stages, deployments):
            tx.execute(delete(table).where(table.c.api_id == api_id))
        tx.execute(delete(apis).where(apis.c.id == api_id))

    def apis_of(self, tx: Connection, account: str, region: str) -> list[RestApi]:
        rows = tx.execute(select(apis.c.document).where(apis.c.account == account, apis.c.region == region))
        return [_decode_api(document) for document in rows.scalars()]

    def api_ids(self, tx: Connection) -> list[str]:
        return list(tx.execute(select(apis.c.id)).scalars())

    # ---- stages

    def find_stage(self, tx: Connection, api_id: str, name: str) -> Stage | None:
        found = tx.execute(
            select(stages.c.document).where(stages.c.api_id == api_id, stages.c.name == name)
        ).scalar_one_or_none()
        return None if found is None else _decode_stage(found)

    def put_stage(self, tx: Connection, api_id: str, stage: Stage) -> None:
        row = {"deployment_id": stage.deployment_id, "document": _encode(stage)}
        tx.execute(
            upsert_into(stages)
            .values(api_id=api_id, name=stage.name, **row)
            .on_conflict_do_update(index_elements=["api_id", "name"], set_=row)
        )

    def delete_stage(self, tx: Connection, api_id: str, name: str) -> bool:
        """False where there was none."""
        return bool(tx.execute(delete(stages).where(stages.c.api_id == api_id, stages.c.name == name)).rowcount)

    def stages_of(self, tx: Connection, api_id: str) -> list[Stage]:
        rows = tx.execute(select(stages.c.document).where(stages.c.api_id == api_id).order_by(stages.c.name))
        return [_decode_stage(document) for document in rows.scalars()]

    # ---- deployments

    def put_deployment(self, tx: Connection, deployment: Deployment) -> None:
        document = _encode(deployment)
        tx.execute(
            upsert_into(deployments)
            .values(api_id=deployment.api.id, id=deployment.id, created_s=deployment.created_s, document=document)
            .on_conflict_do_update(index_elements=["api_id", "id"], set_={"document": document})
        )

    def find_deployment(self, tx: Connection, api_id: str, deployment_id: str) -> Deployment | None:
        found = tx.execute(
            select(deployments.c.document).where(_is_deployment(api_id, deployment_id))
        ).scalar_one_or_none()
        return None if found is None else _decode_deployment(found)

    def delete_deployment(self, tx: Connection, api_id: str, deployment_id: str) -> bool:
        """False where there was none."""
        return bool(tx.execute(delete(deployments).where(_is_deployment(api_id, deployment_id))).rowcount)

    def deployments_of(self, tx: Connection, api_id: str) -> list[DeploymentSummary]:
        """Oldest first."""
        rows = tx.execute(
            select(deployments.c.document)
            .where(deployments.c.api_id == api_id)
            .order_by(deployments.c.created_s, deployments.c.id)
        )
        return [_decode_summary(document) for document in rows.scalars()]

    def deployed(self, tx: Connection, api_id: str) -> dict[str, Deployment]:
        """Those that a stage of the API shows, by id."""
        rows = tx.execute(
            select(deployments.c.document)
            .join(stages, and_(stages.c.api_id == deployments.c.api_id, stages.c.deployment_id == deployments.c.id))
            .where(deployments.c.api_id == api_id)
            .distinct()
        )
        return {found.id: found for found in map(_decode_deployment, rows.scalars())}

    # ---- accounts

    def account(self, tx: Connection, account: str, region: str) -> AccountSettings:
        """As on the first day where nothing was set."""
        found = tx.execute(
            select(accounts.c.document).where(accounts.c.account == account, accounts.c.region == region)
        ).scalar_one_or_none()
        return AccountSettings() if found is None else _decode_account(found)

    def put_account(self, tx: Connection, account: str, region: str, settings: AccountSettings) -> None:
        document = _encode(settings)
        tx.execute(
            upsert_into(accounts)
            .values(account=account, region=region, document=document)
            .on_conflict_do_update(index_elements=["account", "region"], set_={"document": document})
        )

    def accounts(self, tx: Connection) -> dict[tuple[str, str], AccountSettings]:
        return {(row.account, row.region): _decode_account(row.document) for row in tx.execute(select(accounts))}

    def delete_all(self, tx: Connection) -> None:
        for table in (stages, deployments, apis, accounts):
            tx.execute(delete(table))


def _is_deployment(api_id: str, deployment_id: str) -> ColumnElement[bool]:
    return and_(deployments.c.api_id == api_id, deployments.c.id == deployment_id)
