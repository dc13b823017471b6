#!/usr/bin/env bash
# Makes the bucket and a user for each organisation, with the policy of docs/store.md: setup.sh ENDPOINT BUCKET
# The environment names users and secrets: USERS="OwnerMSP=... Miners1MSP=...", and STORE_SECRET, of the user `store`, who may all.
# Running it again changes what has changed.
set -euo pipefail
endpoint=$1 bucket=$2
policy=$(<"$(dirname "$0")/policy.json")
until mc alias set store "$endpoint" store "$STORE_SECRET" > /dev/null; do sleep 1; done
mc mb --ignore-existing "store/$bucket"
for user in $USERS; do
  organisation=${user%%=*} secret=${user#*=}
  filled=${policy//BUCKET/$bucket}
  printf '%s\n' "${filled//ORGANISATION/$organisation}" > "/tmp/$organisation.json"
  mc admin policy create store "$organisation" "/tmp/$organisation.json"
  mc admin user add store "$organisation" "$secret"
  mc admin policy attach store "$organisation" --user "$organisation" || mc admin policy entities store --user "$organisation"
done
