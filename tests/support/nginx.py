"""A real nginx: in front of an OctoPrint, or with a page of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pms.demo.children import log_tail, start_child, stop_child
from tests.support.ports import HOST, free_port, is_free
from tests.support.programs import find_program
from tests.support.waiting import wait_until

_CONFIGURATION = """\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  # The rate of requests with which an answer comes 0.6 s after the one before it.
  limit_req_zone $server_port zone=slow:64k rate=100r/m;
  server {
    listen ADDRESS;
    SERVER
  }
}
"""
_PROXY = """\
location PREFIX/ {
  proxy_pass http://TARGET/;
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header X-Script-Name "PREFIX";
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  client_max_body_size 0;
  MORE
}
"""
PUSH = """
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection "upgrade";
"""
SLOW = PUSH + "limit_req zone=slow burst=100;"
LOCKED = 'auth_basic "Workshop"; auth_basic_user_file users;'
OTHER_PAGE = """
location / {
  default_type text/html;
  return 200 "<html><head><title>Router login</title></head></html>";
}
"""


def proxy(url: str, more: str = PUSH, prefix: str = "") -> str:
    """What lets nginx show the server at `url` under a prefix, such as /octoprint."""
    values = {"PREFIX": prefix, "TARGET": urlsplit(url).netloc, "MORE": more}
    text = _PROXY
    for name, value in values.items():
        text = text.replace(name, value)
    return text


@contextmanager
def nginx(folder: Path, server: str, certificate: Path | None = None) -> Iterator[str]:
    """Its base URL; `certificate`, with its key in the same file, makes it speak TLS."""
    port = free_port()
    home = folder / f"nginx{port}"
    home.mkdir(parents=True)
    address, scheme = f"{HOST}:{port}", "http"
    if certificate is not None:
        server += f"ssl_certificate {certificate}; ssl_certificate_key {certificate};"
        address, scheme = f"{address} ssl", "https"
    text = _CONFIGURATION.replace("ADDRESS", address).replace("SERVER", server)
    (home / "nginx.conf").write_text(text)
    log = home / "log"
    command = [find_program("nginx", Path("/usr/sbin")), "-p", home, "-c", home / "nginx.conf"]
    process = start_child([*command, "-e", "stderr"], folder=home, log=log)
    try:
        wait_until(lambda: not is_free(port), 10.0, f"nginx: {log_tail(log)}")
        yield f"{scheme}://{HOST}:{port}"
    finally:
        stop_child(process, 5.0)
