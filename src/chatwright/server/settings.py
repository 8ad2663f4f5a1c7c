"""What the person who runs the server decides: by command line, environment, file, in this order of precedence."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

import yaml
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)

from chatwright.errors import ConfigError
from chatwright.paths import home_dir
from chatwright.server.identifiers import servable_name

SignUp = Literal["closed", "open", "invitation"]
ModerationPolicy = Literal["off", "flag", "block"]
Names = Annotated[tuple[str, ...], NoDecode]  # in the environment: with commas between them
FILE_NAME = "server.yaml"
PREFIX = "CHATWRIGHT_"
# Variables of other parts of Chatwright that begin alike.
_OTHER_VARIABLES = frozenset({"CHATWRIGHT_LANG", "CHATWRIGHT_CACHE"})


class Limits(BaseModel):
    """What one user may take by default; None is without limit. Administrators set others by user, key and model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_minute: int | None = Field(default=60, ge=1, description="requests in a minute")
    requests_per_hour: int | None = Field(default=600, ge=1, description="requests in an hour")
    requests_per_day: int | None = Field(default=None, ge=1, description="requests in a day")
    tokens_per_minute: int | None = Field(default=None, ge=1, description="tokens, read and written, in a minute")
    tokens_per_hour: int | None = Field(default=None, ge=1, description="tokens in an hour")
    tokens_per_day: int | None = Field(default=None, ge=1, description="tokens in a day")
    concurrent_generations: int | None = Field(default=4, ge=1, description="answers at once")


class ServerSettings(BaseSettings):
    """Settings of a server; each is also an environment variable ``CHATWRIGHT_…`` and a key of ``server.yaml``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,  # a compose file sets what it does not know to ""
        env_parse_none_str="none",  # CHATWRIGHT_LIMITS__REQUESTS_PER_HOUR=none
        extra="forbid",
        frozen=True,
        populate_by_name=True,
    )

    # Where it listens and where it keeps things
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    home: Path = Field(default_factory=home_dir, description="folder for everything that the server writes")
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("database_url", "DATABASE_URL", "CHATWRIGHT_DATABASE_URL"),
        description="PostgreSQL by URL; SQLite in the home folder otherwise",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("redis_url", "REDIS_URL", "CHATWRIGHT_REDIS_URL"),
        description="Redis for limits that several server processes share",
    )
    public_url: str | None = Field(
        default=None, description="how browsers reach the server, such as https://chat.example.org"
    )
    allowed_hosts: Names = Field(default=(), description="further Host names that are served")
    allowed_origins: Names = Field(default=(), description="origins of pages elsewhere that may call the API")
    trusted_proxies: Names = Field(default=(), description="addresses whose X-Forwarded-For is believed")

    # The model
    model: str | None = Field(default=None, description="folder, .gguf file or name; the embedded model otherwise")
    served_model_name: str | None = Field(default=None, description="name by which clients ask for it")
    device: str = Field(default="auto", description="auto, cpu, cuda, mps")
    dtype: str = Field(default="auto", description="auto, float32, bfloat16, float16")
    max_model_len: int | None = Field(default=None, ge=1, description="longest context in tokens")
    models_memory_bytes: int | None = Field(default=None, ge=1, description="memory for loaded models together")
    max_concurrent: int = Field(default=64, ge=1, description="answers that one model writes at once; others wait")
    max_queue: int = Field(default=256, ge=1, description="requests that may wait for a model before 503 is answered")
    engine_url: str | None = Field(default=None, description="another Chatwright server that runs the models")
    engine_key: SecretStr | None = Field(default=None, description="the key that both share")

    # Who may come in
    accounts: bool = Field(default=True, description="whether people need an account")
    api_key: SecretStr | None = Field(default=None, description="a key that is always accepted, without an account")
    sign_up: SignUp = Field(default="closed", description="who may make an account after the first")
    session_days: int = Field(default=30, ge=1, description="a sign-in lasts so long after its last use")
    secure_cookies: bool | None = Field(default=None, description="cookies over HTTPS only; by public_url otherwise")
    oidc_issuer: str | None = Field(default=None, description="address of an OpenID Connect provider to sign in with")
    oidc_client_id: str | None = Field(default=None, description="this server's name there")
    oidc_client_secret: SecretStr | None = Field(default=None, description="its secret there")

    # Limits and abuse
    limits: Limits = Field(default_factory=Limits, description="what one user may take; see below")
    max_body_bytes: int = Field(default=8 << 20, ge=1024, description="largest request that is not a file")
    max_file_bytes: int = Field(default=512 << 20, ge=1024, description="largest file")
    max_user_files_bytes: int = Field(default=10 << 30, ge=1024, description="what the files of one user take together")
    moderation: ModerationPolicy = Field(default="flag", description="what is done with abuse")
    moderation_model: Path | None = Field(
        default=None, description="folder of a classifier of abuse to use in place of the one of the package"
    )
    watermark_key: SecretStr | None = Field(default=None, description="turns the watermark of answers on")

    # Privacy
    redact_before_storage: bool = Field(default=False, description="replace personal data in what is kept")
    redact_before_training: bool = Field(default=True, description="replace it in what is exported for training")
    redact_before_upstream: bool = Field(default=False, description="replace it in what other servers are sent")
    names_model: Path | None = Field(
        default=None, description="folder of a token classifier that finds names of people for redaction"
    )
    retention_days: int | None = Field(default=None, ge=1, description="conversations are deleted after so many days")
    admins_read_chats: bool = Field(default=False, description="whether administrators may read what people write")

    # Operation
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="of our own messages")
    log_format: Literal["auto", "text", "json"] = Field(
        default="auto", description="auto: text on a terminal, JSON elsewhere"
    )
    metrics: Literal["off", "local", "open"] = Field(default="local", description="who may read /metrics")
    shutdown_seconds: float = Field(default=20.0, ge=0, description="time that answers get to end at shutdown")
    max_fine_tuning_jobs: int = Field(default=1, ge=0, description="jobs that this machine trains at a time")
    runs_dir: Path | None = Field(default=None, description="folder of fine-tuning runs; in the home folder otherwise")

    @field_validator("allowed_hosts", "allowed_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("served_model_name")
    @classmethod
    def _servable(cls, value: str | None) -> str | None:
        return None if value is None else servable_name(value)

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("engine_key", "watermark_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 16:
            raise ValueError("a key needs at least 16 characters")
        return value

    @model_validator(mode="after")
    def _engine_has_a_key(self) -> Self:
        if self.engine_url is not None and self.engine_key is None:
            raise ValueError("engine_url needs engine_key, the key that both servers share")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, environment, then ``server.yaml`` in the home folder that these two name."""
        given: dict[str, Any] = {**env_settings(), **init_settings()}
        home = Path(str(given.get("home") or home_dir())).expanduser()
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=home / FILE_NAME)

    def database_location(self) -> str:
        """URL of the database; it may hold a password."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home / 'chatwright.db'}"

    def printable(self) -> dict[str, Any]:
        """Every setting as JSON; secrets as ``**********``, a password within a URL included."""
        shown: dict[str, Any] = self.model_dump(mode="json")
        for name, value in self:
            text = value.get_secret_value() if isinstance(value, SecretStr) else value
            if name.endswith("_url") and isinstance(text, str):
                shown[name] = without_password(text)
        return shown


def load_settings(**given: Any) -> ServerSettings:
    """The settings of a server: what is given here, else the environment, else ``server.yaml``, else the defaults.

    Raises:
        ConfigError: a key is unknown or a value is not allowed; the sentence names both, and holds no secret.
    """
    try:
        return ServerSettings(**given)
    except ValidationError as error:
        raise ConfigError("; ".join(_sentence(problem) for problem in error.errors())) from None
    except SettingsError as error:
        raise ConfigError(f"{error}; a value with parts is written as JSON in the environment") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{FILE_NAME} is not YAML: {error}".replace("\n", " ")) from None


def unknown_variables() -> dict[str, str | None]:
    """Environment variables that look like settings and are none, with the one that was probably meant."""
    known = {f"{PREFIX}{name}".upper() for name in ServerSettings.model_fields}
    unknown = {
        name
        for name in os.environ
        if name.startswith(PREFIX) and name.split("__")[0] not in known and name not in _OTHER_VARIABLES
    }
    return {name: next(iter(get_close_matches(name, known, 1)), None) for name in sorted(unknown)}


def without_password(url: str) -> str:
    """A URL that may be shown: the password in it, and whatever stands behind a question mark, is ``**********``."""
    parts = urlsplit(url)
    login, at, place = parts.netloc.rpartition("@")
    if at:
        user, colon, _ = login.partition(":")
        parts = parts._replace(netloc=f"{user}:**********@{place}" if colon else f"**********@{place}")
    if parts.query:
        parts = parts._replace(query="**********")
    return urlunsplit(parts)


def _sentence(problem: Any) -> str:
    """A problem that pydantic found, with the key and the value as a person wrote them."""
    name = ".".join(str(part) for part in problem["loc"])
    field = ServerSettings.model_fields.get(name.split(".")[0].lower())
    if problem["type"] == "extra_forbidden":
        near = get_close_matches(name, ServerSettings.model_fields, 1)
        return f"there is no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not name:
        return message
    is_secret = field is None or "SecretStr" in str(field.annotation)
    value = "" if is_secret else f" is {problem['input']!r}"
    return f"setting {name}{value}: {message}"
