#!/bin/sh
# A signer program for tagseal, around an openssl key in a file:
#   tagseal key import "exec:/usr/local/bin/openssl-signer.sh?arg=/secure/release.key.pem"
# "describe KEY" writes the public key; "sign KEY" reads what is to be signed and writes the signature in base64.
set -eu
verb=$1
key=$2

# The kind of signature comes from the key: tagseal says which one it expects of this one.
sign() {
  case "$TAGSEAL_SIGNER_SCHEME" in
    ed25519)
      cat > "$work/payload"
      openssl pkeyutl -sign -inkey "$key" -rawin -in "$work/payload"
      ;;
    ecdsa-sha2-*) openssl dgst "-$TAGSEAL_SIGNER_HASH" -sign "$key" ;;
    rsassa-pss-sha256)
      openssl dgst "-$TAGSEAL_SIGNER_HASH" -sign "$key" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32
      ;;
    *)
      echo "no idea how to sign with $TAGSEAL_SIGNER_SCHEME" >&2
      exit 1
      ;;
  esac
}

case "$verb" in
  describe) openssl pkey -in "$key" -pubout ;;
  sign)
    # Not in a pipe, which would end well where openssl did not.
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    sign > "$work/signature"
    openssl base64 -A -in "$work/signature"
    ;;
  *)
    echo "usage: openssl-signer.sh describe|sign KEY" >&2
    exit 2
    ;;
esac
