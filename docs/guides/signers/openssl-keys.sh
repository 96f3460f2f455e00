#!/bin/sh
# A signer program for tagseal-server that makes keys of its own, one file each, in a folder:
#   tagseal-server --online-keys "exec:/usr/local/bin/openssl-keys.sh?arg=/secure/online-keys"
# "generate FOLDER NAME" makes a key and writes its public half, "describe FOLDER NAME" writes that of one that is there,
# "sign FOLDER NAME" reads what is to be signed and writes the signature in base64.
set -eu
umask 077
verb=$1
key=$2/$3.pem

generate() {
  set -C # what is there already is not overwritten
  case "$TAGSEAL_SIGNER_SCHEME" in
    ed25519) openssl genpkey -algorithm ed25519 > "$key" ;;
    ecdsa-sha2-nistp256) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 > "$key" ;;
    ecdsa-sha2-nistp384) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 > "$key" ;;
    *)
      echo "no idea how to make a key for $TAGSEAL_SIGNER_SCHEME" >&2
      exit 1
      ;;
  esac
}

sign() {
  case "$TAGSEAL_SIGNER_SCHEME" in
    ed25519)
      cat > "$work/payload"
      openssl pkeyutl -sign -inkey "$key" -rawin -in "$work/payload"
      ;;
    *) openssl dgst "-$TAGSEAL_SIGNER_HASH" -sign "$key" ;;
  esac
}

case "$verb" in
  generate)
    generate
    openssl pkey -in "$key" -pubout
    ;;
  describe) openssl pkey -in "$key" -pubout ;;
  sign)
    # Not in a pipe, which would end well where openssl did not.
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    sign > "$work/signature"
    openssl base64 -A -in "$work/signature"
    ;;
  *)
    echo "usage: openssl-keys.sh generate|describe|sign FOLDER NAME" >&2
    exit 2
    ;;
esac
