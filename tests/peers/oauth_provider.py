"""An OAuth provider: Authlib's authorization server behind Flask, on a loopback port of the system's choice.

Its one argument is a JSON object:

    directory    where `tokens` is written: one line `USER TOKEN` for each access token that was given
    user         who signs in, at once and without being asked
    client       {"id": ..., "secret": ...}; redirect addresses on loopback are taken whatever their port
    life         how long an access token lives, in seconds
    rotate       true: each refresh token is good for one use, and the answer brings another
    service      true: there is a service account too, whose key is written to `directory`/key.json
    refuse       an OAuth error code with which every request for a token is refused, or null; `directory`/refuse
                 overrides it while the file is there. A JSON object instead of a code is the whole answer
    deny         true: the person refuses at the authorization endpoint
    tenant       a tenant: `/TENANT/oauth2/v2.0/token` and `/TENANT/oauth2/v2.0/authorize` serve it, and a client may sign in
                 as itself there, for the scope that ends in `/.default`; other tenants are answered as Microsoft does
    issuer       the `iss` of each authorization response (RFC 9207); "own" is this provider's address
    demand_scope true: a refresh that names no scope is refused

On stdout it writes {"event": "listening", "port": N}, then one JSON object for each request. It ends when its stdin does.
"""

import base64
import json
import logging
import os
import pathlib
import secrets
import sys
import threading
import time
from urllib.parse import urlencode, urlsplit

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc7523 import JWTBearerGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask, jsonify, request
from werkzeug.serving import make_server

options = json.loads(sys.argv[1])
directory = pathlib.Path(options["directory"])
lock = threading.Lock()
codes, refresh_tokens = {}, {}


def tell(event, **facts):
    with lock:
        print(json.dumps({"event": event, **facts}), flush=True)


class Client(ClientMixin):
    client_id = options["client"]["id"]
    scope = "https://mail.google.com/ openid email https://outlook.office365.com/.default"

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return " ".join(name for name in (scope or "").split() if name in self.scope.split())

    def check_redirect_uri(self, uri):
        return urlsplit(uri).hostname in ("127.0.0.1", "localhost", "::1")

    def check_client_secret(self, secret):
        return secret == options["client"]["secret"]

    def check_endpoint_auth_method(self, method, endpoint):
        return method in ("client_secret_post", "none" if options["client"]["secret"] is None else "")

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return True


class Code:
    def __init__(self, **facts):
        self.__dict__.update(facts)

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope


class AuthorizationCodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post", "none"]

    def save_authorization_code(self, code, request):
        data = request.payload.data
        codes[code] = Code(
            code=code,
            redirect_uri=request.payload.redirect_uri,
            scope=request.payload.scope,
            code_challenge=data.get("code_challenge"),
            code_challenge_method=data.get("code_challenge_method"),
        )

    def query_authorization_code(self, code, client):
        return codes.get(code)

    def delete_authorization_code(self, authorization_code):
        codes.pop(authorization_code.code, None)

    def authenticate_user(self, authorization_code):
        return options["user"]


class RefreshToken:
    def __init__(self, token, scope):
        self.token, self.scope = token, scope

    def check_client(self, client):
        return True

    def get_scope(self):
        return self.scope

    def is_expired(self):
        return False

    def is_revoked(self):
        return False


class RefreshTokenGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post", "none"]
    INCLUDE_NEW_REFRESH_TOKEN = bool(options.get("rotate"))

    def authenticate_refresh_token(self, refresh_token):
        return refresh_tokens.get(refresh_token)

    def authenticate_user(self, refresh_token):
        return options["user"]

    def revoke_old_credential(self, refresh_token):
        if self.INCLUDE_NEW_REFRESH_TOKEN:
            refresh_tokens.pop(refresh_token.token, None)


class ClientCredentialsGrant(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post"]


class ServiceAccountGrant(JWTBearerGrant):
    def resolve_issuer_client(self, issuer):
        return Client()

    def resolve_client_key(self, client, headers, payload):
        return service_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def authenticate_user(self, subject):
        return subject

    def has_granted_permission(self, client, user):
        return True

    def get_audiences(self):
        return [request.url]


def generate(grant_type, client, user=None, scope=None, expires_in=None, include_refresh_token=True):
    token = {
        "token_type": "Bearer",
        "access_token": "ya29.PLANTED-access-" + secrets.token_urlsafe(24),
        "expires_in": options["life"],
        "scope": scope or "https://mail.google.com/",
    }
    if include_refresh_token and grant_type in ("authorization_code", "refresh_token"):
        token["refresh_token"] = "1//PLANTED-refresh-" + secrets.token_urlsafe(24)
    if "openid" in (scope or "").split():
        # Read over TLS from the token endpoint itself, so nobody looks at a signature.
        parts = ({"alg": "none"}, {"email": options["user"]})
        encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
        token["id_token"] = ".".join(encoded) + "."
    return token


def save(token, request):
    # On disk before the client has it, so that a mail server that is asked knows it.
    with lock, open(directory / "tokens", "a", encoding="utf-8") as file:
        file.write(f"{request.user or options['user']} {token['access_token']}\n")
    if "refresh_token" in token:
        refresh_tokens[token["refresh_token"]] = RefreshToken(token["refresh_token"], token["scope"])


app = Flask(__name__)
server = AuthorizationServer(app, query_client=lambda _: Client(), save_token=save)
server.register_token_generator("default", generate)
server.register_grant(AuthorizationCodeGrant, [CodeChallenge(required=True)])
server.register_grant(RefreshTokenGrant)
if options.get("tenant"):
    server.register_grant(ClientCredentialsGrant)
if options.get("service"):
    service_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    server.register_grant(ServiceAccountGrant)
for known in options.get("known", []):
    refresh_tokens[known] = RefreshToken(known, "https://mail.google.com/")


def aadsts(code, number, words, status=400):
    """An answer in the form that Microsoft's token endpoint gives it."""
    said = f"AADSTS{number}: {words} Trace ID: t Correlation ID: c Timestamp: 2026-01-01 00:00:00Z"
    return jsonify(error=code, error_description=said, error_codes=[number], trace_id="t", correlation_id="c"), status


@app.get("/authorize")
@app.get("/<tenant>/oauth2/v2.0/authorize")
def authorize(tenant=None):
    tell("authorize", login_hint=request.args.get("login_hint"), prompt=request.args.get("prompt"))
    grant = server.get_consent_grant(end_user=options["user"])
    response = server.create_authorization_response(
        grant_user=None if options.get("deny") else options["user"], grant=grant
    )
    issuer = options.get("issuer")
    if issuer and "Location" in response.headers:
        issuer = request.host_url.rstrip("/") if issuer == "own" else issuer
        response.headers["Location"] += "&" + urlencode({"iss": issuer})
    return response


@app.post("/token")
@app.post("/<tenant>/oauth2/v2.0/token")
def token(tenant=None):
    refuse = directory / "refuse"
    code = refuse.read_text().strip() if refuse.exists() else options.get("refuse")
    grant, scope = request.form.get("grant_type"), request.form.get("scope")
    tell("token", grant=grant, scope=scope, tenant=tenant, refused=code)
    if code == "late":
        # Until the test has it otherwise.
        while refuse.exists():
            time.sleep(0.01)
        return server.create_token_response()
    if code == "silence":
        time.sleep(120)
    if code and code.startswith("{"):
        return jsonify(json.loads(code)), 400
    if code:
        return jsonify(error=code, error_description="as the test wishes"), 400
    if tenant not in (None, options.get("tenant")):
        return aadsts("invalid_request", 90002, f"Tenant '{tenant}' not found.")
    if grant == "client_credentials":
        if tenant is None:
            return aadsts("invalid_request", 9001023, "The grant type is not supported over the /common endpoint.")
        if not (scope or "").endswith("/.default"):
            return aadsts("invalid_scope", 1002012, "The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.")
        if request.form.get("client_secret") != options["client"]["secret"]:
            return aadsts("invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.", 401)
    if grant == "refresh_token" and options.get("demand_scope") and not scope:
        return aadsts("invalid_request", 900144, "The request body must contain the following parameter: 'scope'.")
    return server.create_token_response()


logging.getLogger("werkzeug").setLevel(logging.ERROR)
http = make_server("127.0.0.1", 0, app, threaded=True)
threading.Thread(target=http.serve_forever, daemon=True).start()
if options.get("service"):
    pem = service_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = {
        "type": "service_account",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "robot@project.example.test",
        "client_id": "1",
        "token_uri": f"http://127.0.0.1:{http.server_port}/token",
    }
    with open(os.open(directory / "key.json", os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        json.dump(key, file)
tell("listening", port=http.server_port)
sys.stdin.read()
