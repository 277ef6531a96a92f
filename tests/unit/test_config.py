"""What options may be: a wrong one is told at the start, not found out by a region that does not work."""

from __future__ import annotations

from pathlib import Path

import pytest

from lambent.config import Config, ConfigError


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
