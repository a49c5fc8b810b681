"""Messages over a real mail server and a real HTTP interface: delivery.py HOST_BINARY [SCENARIO ...]

Both services run here, on loopback. The scenarios are in delivery/. Each runs on hosts of its own; without names, all of
them run. aiosmtpd and standardwebhooks are installed into a temporary virtual environment. What else it needs, servers.py says.
"""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent

try:
    import aiosmtpd  # noqa: F401
except ImportError:
    if os.environ.get("DELIVERY_VENV"):
        raise
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([f"{folder}/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--requirement",
                        HERE / "delivery" / "requirements.txt"], check=True)
        command = [f"{folder}/bin/python", __file__, *sys.argv[1:]]
        sys.exit(subprocess.run(command, env={**os.environ, "DELIVERY_VENV": folder}).returncode)

sys.path.insert(0, str(HERE / "delivery"))
import mails  # noqa: E402
import providers  # noqa: E402
import settings  # noqa: E402
import webhooks  # noqa: E402
from places import EMAIL, HOSTILE, SMS, Place, check  # noqa: E402
from services import PASSWORD  # noqa: E402


def run(name, scenario):
    with tempfile.TemporaryDirectory() as folder:
        place = Place(folder)
        try:
            scenario(place)
            log = place.log()
            # The console alone prints addresses and codes, in lines of their own.
            for host in place.hosts:
                lines = pathlib.Path(host.log).read_text()
                rest = re.sub(r"(?m)^to \S+: \d+ is your code for .*$", "", lines)
                for address in {SMS, EMAIL, HOSTILE} | host.addresses:
                    # A provider may leave the country code out.
                    check(address not in rest and address.removeprefix("+44") not in rest, "the log shows an address")
                    with contextlib.suppress(KeyError, OSError):
                        check(not re.search(rf"\b{host.code(address)}\b", rest), "the log shows a code")
            check(not any(secret in log for secret in [PASSWORD, "s3cret", "secret key", "whsec_"]), "the log shows a secret")
        except BaseException:
            print(place.log(), file=sys.stderr)
            print(f"FAILED: {name}", file=sys.stderr)
            raise
        finally:
            for host in place.hosts:
                with contextlib.suppress(Exception):
                    host.kill()
    print(f"{name.removeprefix('scenario_').replace('_', ' ')}: ok", flush=True)


named = [f"scenario_{name.removeprefix('scenario_')}" for name in sys.argv[2:]]
scenarios = {name: value for module in (mails, providers, webhooks, settings) for name, value in vars(module).items()
             if name.startswith("scenario_")}
for name, scenario in scenarios.items():
    if not named or name in named:
        run(name, scenario)
