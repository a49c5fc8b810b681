#!/usr/bin/env bash
# Compiles and runs the C programs of this folder: with AddressSanitizer and UndefinedBehaviorSanitizer against the
# static library, and without a sanitizer against the shared library. LOGINS is how many logins may not leak.
#
# The command openssl makes the keys and signs for clients that prove a key.
#
# ThreadSanitizer does not see the locks of a Rust library that is not compiled for it, and would report each of them.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo build --locked --quiet -p otp-grant-c
libraries=${CARGO_TARGET_DIR:-target}/debug
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

compile() { ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Wpedantic -Werror -Ibindings/c/include "$@"; }
system=(-lpthread -ldl -lm)

for program in bindings/c/examples/login.c bindings/c/tests/proofs.c bindings/c/tests/messages.c \
    bindings/c/tests/misuse.c bindings/c/tests/threads.c; do
    name=$(basename "$program" .c)
    compile -fsanitize=address,undefined -fno-sanitize-recover=all "$program" "$libraries/libotp_grant_c.a" \
        "${system[@]}" -o "$out/$name"
    "$out/$name" >"$out/$name.out" || { cat "$out/$name.out"; echo "$program failed" >&2; exit 1; }
    tail -1 "$out/$name.out"
done

compile bindings/c/examples/login.c -L"$libraries" -Wl,-rpath,"$(realpath "$libraries")" -lotp_grant_c -o "$out/shared"
"$out/shared" >/dev/null

# Memory. A sanitizer would keep what was freed.
compile bindings/c/tests/logins.c "$libraries/libotp_grant_c.a" "${system[@]}" -o "$out/logins"
"$out/logins" "${LOGINS:-5000}"

# The header and the example are C99.
${CC:-cc} -std=c99 -fsyntax-only -Wall -Wextra -Wpedantic -Werror -Ibindings/c/include bindings/c/examples/login.c

# A C++ program can use the header.
printf '#include "otp_grant.h"\n#include "otp_grant.h"\nint main() { return otp_grant_abi_version() != OTP_GRANT_ABI_VERSION; }\n' >"$out/host.cc"
${CXX:-c++} -Wall -Wextra -Werror -Ibindings/c/include "$out/host.cc" "$libraries/libotp_grant_c.a" "${system[@]}" -o "$out/cc"
"$out/cc"

# The shared library exports the functions of the header, and nothing else.
declared=$(grep -o '\botp_grant_[a-z_]*(' bindings/c/include/otp_grant.h | tr -d '(' | sort -u | grep -v '^otp_grant_text$')
exported=$(nm -D --defined-only "$libraries/libotp_grant_c.so" | awk '{ print $3 }' | sort -u)
diff <(echo "$declared") <(echo "$exported")
echo "the C programs passed"
