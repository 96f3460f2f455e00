import { openNamedKey } from '../../keys/keystore/named-key.ts'
import type { Signer } from '../../keys/signer.ts'
import { isReference } from '../../keys/signers/reference.ts'
import { usage } from '../commands/errors.ts'
import type { Context } from '../context.ts'

/**
 * The keys that the gateway signs with for podman, CRI-O and skopeo, opened: files, keys of this machine by id or name, or
 * references. The caller closes them. Throws USAGE for a key that those engines do not take.
 */
export async function openBridgeKeys(context: Context, given: readonly string[]): Promise<readonly Signer[]> {
  const opened: Signer[] = []
  try {
    for (const one of given) {
      const signer = await open(context, one)
      opened.push(signer)
      refuseOther(signer, one)
    }
    return opened
  } catch (error) {
    for (const signer of opened) signer.close()
    throw error
  }
}

async function open(context: Context, given: string): Promise<Signer> {
  if (isReference(given) || !/[/.]/.test(given)) return await (await context.keystore()).open(given)
  return await openNamedKey(given, await context.passphrases())
}

function refuseOther({ public: { algorithm } }: Signer, key: string): void {
  if (algorithm === 'ecdsa-p256') return
  throw usage(
    `${key} is a key for ${algorithm}, and podman, CRI-O and skopeo take ecdsa-p256`,
    'tagseal key generate --algorithm ecdsa-p256 --name bridge',
  )
}
