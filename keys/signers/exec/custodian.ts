import { fromBase64 } from '../../bytes.ts'
import { isKeyError, KeyError } from '../../errors.ts'
import { readPem } from '../../pem.ts'
import { publicMaterial, SCHEMES } from '../../schemes/table.ts'
import type { PublicMaterial } from '../../signer.ts'
import { checkedSigner, HASH_OF } from '../checked.ts'
import type { Custodian, FoundKey, Surroundings } from '../custodian.ts'
import { patiently } from '../patience.ts'
import { parseCommand } from './command.ts'
import type { Command } from './command.ts'
import { nameOf, runProgram } from './run.ts'
import type { Facts, Verb } from './run.ts'

const PROTOCOL = '1'

type ToSign = { readonly payload: Uint8Array; readonly hash: string }

/**
 * Keys behind a program that somebody wrote: a KMS, a vault, a machine that is not here.
 *
 * `PROGRAM describe ARG...` writes the public key, a PEM block `PUBLIC KEY`, to stdout. `PROGRAM sign ARG...` reads from
 * stdin what is to be signed and writes the signature in base64: 64 bytes (ed25519), DER (ecdsa), PSS (rsa). One that can
 * make keys makes one at `PROGRAM generate ARG...`, of the scheme it is told, and describes it. It is told the protocol's
 * number and, to sign, which key is meant, by which scheme and over which hash (docs/guides/keys-beyond-files.md).
 */
export function openPrograms(surroundings: Surroundings): Custodian {
  return {
    find: (reference) => described(reference, 'describe', {}),
    list: async (reference) => [await described(reference, 'describe', {})],
    async open(reference, material) {
      const command = parseCommand(reference)
      return checkedSigner({
        public: material,
        signer: nameOf(command),
        sign: (payload, computation) => sign(command, material, { payload, hash: HASH_OF[computation] ?? 'none' }),
      })
    },
    async generate(reference, algorithm) {
      return described(reference, 'generate', { TAGSEAL_SIGNER_SCHEME: SCHEMES[algorithm].name })
    },
    close: async () => undefined,
  }

  async function described(reference: string, verb: Verb, facts: Facts): Promise<FoundKey> {
    const command = parseCommand(reference)
    const text = await run(command, verb, new Uint8Array(), facts)
    const signer = nameOf(command)
    return { reference, public: readPublic(text, signer), label: command.program, asks: false }
  }

  async function sign(command: Command, material: PublicMaterial, { payload, hash }: ToSign): Promise<Uint8Array> {
    const facts = {
      TAGSEAL_SIGNER_SCHEME: SCHEMES[material.algorithm].name,
      TAGSEAL_SIGNER_HASH: hash,
      TAGSEAL_SIGNER_KEY: SCHEMES[material.algorithm].writePublic(material.spki),
    }
    const answer = await run(command, 'sign', payload, facts)
    const signature = fromBase64(answer.replace(/\r?\n/g, '')) // base64 comes in lines
    if (signature !== undefined && signature.length > 0) return signature
    throw new KeyError('SIGNER_FAILED', { signer: nameOf(command), why: 'its answer is not base64' })
  }

  async function run(command: Command, verb: Verb, input: Uint8Array, facts: Facts): Promise<string> {
    const { say, signal, milliseconds } = surroundings
    const wait = {
      signer: nameOf(command),
      asking: `it is to ${verb}`,
      say,
      ...(signal !== undefined && { signal }),
      ...(milliseconds !== undefined && { milliseconds }),
    }
    const told = { TAGSEAL_SIGNER_PROTOCOL: PROTOCOL, ...facts }
    const output = await patiently(wait, (end) => runProgram({ command, verb, input, facts: told }, surroundings, end))
    return Buffer.from(output).toString('latin1')
  }
}

function readPublic(text: string, signer: string): PublicMaterial {
  try {
    return publicMaterial(readPem(text, 'PUBLIC KEY'))
  } catch (error) {
    if (!isKeyError(error)) throw error
    const why = 'why' in error.detail ? error.detail.why : error.message
    throw new KeyError('SIGNER_FAILED', { signer, why: `it describes no public key of ours: ${why}` }, { cause: error })
  }
}
