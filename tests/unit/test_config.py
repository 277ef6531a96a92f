"""What options may be: a wrong one is told at the start, not found out by a region that does not work."""

from __future__ import annotations

from pathlib import Path

import pytest

from lambent.config import Config, ConfigError, OidcIssuer, SubnetAccess


def load(folder: Path, **options: object) -> Config:
    return Config.load({"data_dir": folder, **options}, environ={})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"port": 70000}, "--port must be 0 to 65535, not 70000."),
        ({"region": "my region"}, "--region must be a name such as us-east-1, not 'my region'."),
        ({"region": ""}, "--region must be a name such as us-east-1, not ''."),
        ({"memory_budget": -5}, "--memory-budget must be 0 or more, not -5."),
        ({"log_budget": 0}, "--log-budget must be 1 or more, not 0."),
        ({"idle_timeout": -1.0}, "--idle-timeout must be 0 or more, not -1.0."),
        ({"idle_timeout": "nan"}, "--idle-timeout must be 0 or more, not nan."),
        ({"account_concurrency": 0}, "--account-concurrency must be 1 or more, not 0."),
        ({"pool_size": -1}, "--pool-size must be 0 or more, not -1."),
    ],
    ids=str,
)
def test_an_option_out_of_its_range_is_refused(tmp_path: Path, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path, **options)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1", "eusc-de-east-1", "mx-central-1"])
def test_every_region_name_is_taken(tmp_path: Path, region: str) -> None:
    assert load(tmp_path, region=region, pool_size=0, idle_timeout=0).region == region


POINT = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0"


def test_access_points_are_folders_of_the_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "lambent.toml"
    file.write_text(f'port = 1\n[efs]\n"{POINT}" = "/srv/efs"\n')
    assert Config.load({}, environ={"LAMBENT_CONFIG": str(file)}).efs == {POINT: Path("/srv/efs")}
    assert load(tmp_path / "none").efs == {}


@pytest.mark.parametrize(
    ("efs", "sentence"),
    [
        ({"fsap-1": "/srv"}, "In [efs], 'fsap-1' is not the ARN of an access point."),
        ({POINT: "srv"}, f"In [efs], the folder of {POINT} must be an absolute path, not 'srv'."),
        ({POINT: 1}, f"In [efs], the folder of {POINT} must be an absolute path, not 1."),
        ("/srv", 'efs is a table of the configuration file: [efs], then "<ARN of an access point>" = "/folder".'),
    ],
    ids=str,
)
def test_a_wrong_access_point_is_told(tmp_path: Path, efs: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path, efs=efs)
    assert str(refusal.value) == sentence


def test_token_issuers_are_named_in_the_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "lambent.toml"
    file.write_text('[oidc."https://issuer.example/"]\nclient-ids = ["a", "b"]\njwks = "/etc/keys.json"\n')
    config = Config.load({}, environ={"LAMBENT_CONFIG": str(file)})
    assert config.oidc == {"https://issuer.example/": OidcIssuer(("a", "b"), "/etc/keys.json")}


@pytest.mark.parametrize(
    ("oidc", "sentence"),
    [
        ({"issuer": {}}, "In [oidc], 'issuer' is not the URL of an issuer, as the iss of its tokens has it."),
        ({"https://i": {"jwks": "/k"}}, "In [oidc], client-ids of https://i must list the audiences"),
        ({"https://i": {"client-ids": [1]}}, "In [oidc], client-ids of https://i must list the audiences"),
        ({"https://i": {"client-ids": ["a"], "jwks": "keys"}}, "In [oidc], jwks of https://i must be an absolute path"),
        ({"https://i": {"client-ids": ["a"], "thumbprint": ""}}, "In [oidc], https://i takes client-ids and jwks."),
        ("https://i", "oidc is a table of the configuration file"),
    ],
    ids=str,
)
def test_issuers_that_cannot_be_are_refused(tmp_path: Path, oidc: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path, oidc=oidc)
    assert str(refusal.value).startswith(sentence)


def test_localstacks_variable_for_retries_counts_where_ours_is_not_given() -> None:
    theirs = {"LAMBDA_RETRY_BASE_DELAY_SECONDS": "2"}
    assert Config.load({}, environ=theirs).async_retry_base_delay == 2.0
    assert Config.load({}, environ={**theirs, "LAMBENT_ASYNC_RETRY_BASE_DELAY": "3"}).async_retry_base_delay == 3.0
    assert Config.load({"async_retry_base_delay": 4.0}, environ=theirs).async_retry_base_delay == 4.0
    with pytest.raises(ConfigError, match="--async-retry-base-delay must be 0 or more"):
        Config.load({"async_retry_base_delay": -1}, environ={})


def test_every_python_may_have_snap_start_where_the_file_says_so(tmp_path: Path) -> None:
    file = tmp_path / "lambent.toml"
    file.write_text("[snap_start]\nevery_python = true\n")
    assert Config.load({}, {}, file).snap_start.every_python
    assert not Config.load({}, {}).snap_start.every_python
    for wrong in ("every_python = 1", "java = true"):
        file.write_text(f"[snap_start]\n{wrong}\n")
        with pytest.raises(ConfigError, match="snap_start is a table of the configuration file"):
            Config.load({}, {}, file)


def test_networks_are_allowed_by_option_variable_and_file(tmp_path: Path) -> None:
    file = tmp_path / "lambent.toml"
    file.write_text('network-allow = ["10.1.0.0/16"]\n')
    assert Config.load({}, {}, file).network_allow == ("10.1.0.0/16",)
    environ = {"LAMBENT_NETWORK_ALLOW": "10.2.0.0/16, fd00::/8"}
    assert Config.load({}, environ, file).network_allow == ("10.2.0.0/16", "fd00::/8")
    assert Config.load({"network_allow": ["10.3.0.0/16"]}, environ, file).network_allow == ("10.3.0.0/16",)
    with pytest.raises(ConfigError, match=r"'10\.1\.2\.3/16' is not a network"):
        Config.load({"network_allow": ["10.1.2.3/16"]}, {})


def test_subnets_stand_for_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "lambent.toml"
    file.write_text(
        '[vpc.subnets]\na = "egress"\nb = "none"\nc = { allow = ["10.2.0.0/16", "10.1.0.0/16"] }\n'
        '"*" = { allow = ["10.1.0.0/16"], internet = true }\n'
    )
    assert Config.load({}, {}, file).vpc == {
        "a": SubnetAccess("egress", True),
        "b": SubnetAccess("none"),
        "c": SubnetAccess("10.1.0.0/16, 10.2.0.0/16", False, ("10.1.0.0/16", "10.2.0.0/16")),
        "*": SubnetAccess("internet and 10.1.0.0/16", True, ("10.1.0.0/16",)),
    }


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("[vpc]\nsubnet = 1", "vpc is a table of the configuration file"),
        ('[vpc.subnets]\na = "host"', "In [vpc.subnets], a must be"),
        ("[vpc.subnets]\na = { internet = true }", "In [vpc.subnets], a must be"),
        ("[vpc.subnets]\na = { allow = [], internet = 1 }", "In [vpc.subnets], internet of a must be true or false"),
        ('[vpc.subnets]\na = { allow = ["10.0.0.0/33"] }', "'10.0.0.0/33' is not a network"),
    ],
)
def test_subnets_that_stand_for_nothing_are_refused(tmp_path: Path, table: str, sentence: str) -> None:
    file = tmp_path / "lambent.toml"
    file.write_text(table)
    with pytest.raises(ConfigError) as refusal:
        Config.load({}, {}, file)
    assert str(refusal.value).startswith(sentence)
