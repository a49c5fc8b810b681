# What there is to run. `just --list` names it; CONTRIBUTING.md says what each is for.

# The recipes.
_default:
    @just --list --unsorted

# Format, clippy of the library and the unit tests: a minute.
check:
    cargo fmt --all --check
    cargo clippy --locked -p otp-grant --lib -- -D warnings
    cargo clippy --locked -p otp-grant --lib --all-features -- -D warnings
    cargo test --locked -p otp-grant --lib

# Everything that needs no server.
test:
    cargo test --locked

# The scenarios whose names have this in them.
scenario NAME:
    cargo test --locked -p otp-grant-scenarios {{ NAME }}

# The stores, on servers that the tests start: redis-server and PostgreSQL.
stores:
    cargo test --locked -p otp-grant-redis -p otp-grant-sql --all-features

# The reference host, its page in Chromium, clients of other libraries, its messages over mail and HTTP, its replies
# against docs/openapi.yaml, several processes on one database, its alerts, restarts behind nginx, and failovers.
host:
    cargo test --locked -p otp-grant-host
    promtool check rules host/operations/alerts.yml
    promtool test rules host/operations/alerts_test.yml
    host/tests/page.sh
    host/tests/clients.sh
    python3 host/tests/proofs.py target/debug/otp-grant-host
    python3 host/tests/guard.py target/debug/otp-grant-host
    python3 host/tests/delivery.py target/debug/otp-grant-host
    python3 host/tests/openapi.py target/debug/otp-grant-host
    python3 host/tests/processes.py target/debug/otp-grant-host
    python3 host/tests/failover.py target/debug/otp-grant-host
    python3 host/tests/operations.py target/debug/otp-grant-host

# The bindings for C, Python and Node, with their hosts, stores and attacks.
bindings:
    cargo test --locked -p otp-grant-bindings -p otp-grant-c --all-features
    bindings/c/test.sh
    bindings/python/test.sh
    bindings/node/test.sh

# What takes hours: the whole simulation, planted bugs, mutants and fuzzing.
prove: simulation planted mutants fuzz

# Every schedule of the simulation; `just simulation 3/12` is the third twelfth.
simulation PART="all":
    SIMULATION={{ PART }} cargo test --locked -p otp-grant-tests --test simulation

# Every scenario over both faces, byte for byte, and the simulation over the second; `just faces all` is all of it.
faces PART="":
    tests/both_faces.sh
    FACE=exchange {{ if PART == "" { "" } else { "SIMULATION=" + PART } }} cargo test --locked -p otp-grant-tests --test simulation -- --nocapture

# Plants bugs and says which test catches each, by default all of them.
planted *NAMES:
    tests/planted/run {{ NAMES }}

# Mutates the code, and lists what no test notices.
mutants *OPTIONS:
    tests/mutants/run {{ OPTIONS }}

# Fuzzes targets for so many seconds each, by default all of them.
fuzz SECONDS="600" *TARGETS:
    fuzz/run {{ SECONDS }} {{ TARGETS }}

# Writes docs/public-api.txt and docs/imports.svg anew, after a change of the public API or of an import.
listings:
    tests/public_api/run --update
    docs/imports.py

# Everything that has to pass before a change lands: less than an hour.
ci:
    .ci/run
