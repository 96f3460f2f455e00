import { openNamedKey } from '../../keys/keystore/named-key.ts'
import type { Signer } from '../../keys/signer.ts'
import { isReference } from '../../keys/signers/reference.ts'
import { usage } from '../commands/errors.ts'
import { readUserFile } from '../files.ts'
import type { Context } from '../context.ts'

const MAX_KEY = 32 * 1024

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
  try {
    return await openNamedKey(given, await context.passphrases())
  } catch (error) {
    await refuseOtherFile(given) // only now: what comes through a pipe can be read once
    throw error
  }
}

/** A file that is not there is no key that this machine lost, and a public key no matter of permissions. */
async function refuseOtherFile(path: string): Promise<void> {
  const bytes = await readUserFile(path, MAX_KEY)
  const isPublic = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes('-----BEGIN PUBLIC KEY-----')
  bytes.fill(0)
  if (isPublic)
    throw usage(`${path} is a public key, and signing takes the private one`, 'name the file it was made from')
}

function refuseOther({ public: { algorithm } }: Signer, key: string): void {
  if (algorithm === 'ecdsa-p256') return
  throw usage(
    `${key} is a key for ${algorithm}, and podman, CRI-O and skopeo take ecdsa-p256`,
    'tagseal key generate --algorithm ecdsa-p256 --name bridge',
  )
}
