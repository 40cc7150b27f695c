"""nginx before several gateways of one Flow: it reads requests, and sends each to a gateway.

Gateways are found by their one name, which is asked again and again: one that was started anew is found where it is.
"""

from string import Template

from dure.export.ports import Door

CONFIG_FILE = "/etc/nginx/dure.conf"
"""Where nginx finds its configuration."""

COMMAND = ["nginx", "-c", CONFIG_FILE, "-e", "stderr", "-g", "daemon off;"]
"""What the container runs."""

NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""From where nginx asks: engines give such addresses. The gateways are reached by nobody else then."""

_CONFIG = Template("""\
pid /tmp/nginx.pid;
error_log stderr warn;
worker_processes auto;
events { worker_connections 4096; }

http {
    access_log off;
    client_max_body_size 0;                     # the gateways say what is too large
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;

    resolver 127.0.0.11 valid=2s ipv6=off;      # the engine's own
    map $$http_upgrade $$connection_upgrade {
        default upgrade;
        ''      close;
    }
$servers}
""")

_SERVERS = {
    "http": Template("""\

    server {
        listen $port;
        location / {
            set $$gateway $host;
            proxy_pass http://$$gateway:$inside;
            proxy_http_version 1.1;
            proxy_set_header Host $$http_host;                  # which the gateway checks
            proxy_set_header X-Forwarded-For $$remote_addr;     # whose limits are counted
            proxy_set_header Upgrade $$http_upgrade;
            proxy_set_header Connection $$connection_upgrade;
            proxy_connect_timeout 2s;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_read_timeout 1h;
            proxy_next_upstream error timeout;                  # POST is not sent twice: it may have had an effect
        }
    }
"""),
    "grpc": Template("""\

    server {
        listen $port http2;
        location / {
            set $$gateway $host;
            grpc_pass grpc://$$gateway:$inside;
            grpc_connect_timeout 2s;
            grpc_read_timeout 1h;
            grpc_send_timeout 1h;
        }
    }
"""),
}


def config_of(host: str, doors: list[Door]) -> str:
    """Return the configuration.

    Args:
        host: The name of the gateways.
        doors: Their ports; nginx listens on the same.
    """
    servers = [_SERVERS[door.name].substitute(port=door.inside, inside=door.inside, host=host) for door in doors]
    return _CONFIG.substitute(servers="".join(servers))
