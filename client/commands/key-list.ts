import { notaryKeyId } from '../../keys/notary/key-id.ts'
import type { KeyInfo } from '../../keys/keystore/keystore.ts'
import { isUnfit } from '../../keys/signers/custodian.ts'
import type { UnfitKey } from '../../keys/signers/custodian.ts'
import type { OfferedKey } from '../../keys/signers/keystore.ts'
import { kindOf } from '../../keys/signers/reference.ts'
import type { SignerKind } from '../../keys/signers/reference.ts'
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import { failureDocument, tellFailure } from '../failure-text.ts'
import { any, defineCommand } from './declare.ts'
import type { Answer } from './declare.ts'
import { keyDocument, shortId } from './key-document.ts'
import { tableOf } from './table-text.ts'

export const keyListCommand = defineCommand({
  operands: {
    SIGNER: any('what an ssh-agent (ssh:), a token (pkcs11:token=...) or a program (exec:/path) has to offer instead'),
  },
  options: {},
  examples: ['tagseal key list', 'tagseal key list ssh:'],
  async run(context, input) {
    const signers = input.many('SIGNER')
    return signers.length === 0 ? await ownKeys(context) : await offeredKeys(context, signers)
  },
})

async function ownKeys(context: Context): Promise<Answer> {
  const { keys, bad } = await (await context.keystore()).survey()
  const failures = bad.map(failureOf)
  for (const failure of failures) tellFailure(context.terminal, failure)
  if (keys.length === 0 && bad.length === 0) context.terminal.note(`no keys in ${context.paths.keys}`)
  const rows = keys.map((key) => [
    key.id,
    key.algorithm,
    custodyOf(key),
    new Date(key.createdAt).toISOString().slice(0, 10),
    key.name ?? '',
    ...(key.notary === undefined ? [] : [`notary ${shortId(notaryKeyId(key.public))}`]),
  ])
  return {
    lines: tableOf(rows),
    document: { keys: keys.map(keyDocument), ...(bad.length > 0 && { failed: failures.map(failureDocument) }) },
    ...(bad.length > 0 && { exit: 1 }),
  }
}

const KEEPERS: Readonly<Record<SignerKind, string>> = { ssh: 'ssh-agent', pkcs11: 'pkcs11', exec: 'program' }

function custodyOf({ signer, encrypted }: KeyInfo): string {
  if (signer !== undefined) return KEEPERS[kindOf(signer)]
  return encrypted ? 'passphrase' : 'no passphrase'
}

/** What signs nothing of ours is named too: whoever looks for a key sees why it is not among the others. */
async function offeredKeys(context: Context, signers: readonly string[]): Promise<Answer> {
  const keystore = await context.keystore()
  const offered: (OfferedKey | UnfitKey)[] = []
  for (const signer of signers) offered.push(...(await keystore.offered(signer)))
  const unfit = offered.filter(isUnfit)
  const fit = offered.flatMap((key) => (isUnfit(key) ? [] : [key]))
  for (const { label, why } of unfit) context.terminal.warn(`${label} cannot sign metadata: ${why}`)
  if (offered.length === 0) context.terminal.note(`no keys in ${signers.join(', ')}`)
  return {
    lines: tableOf(fit.map(({ id, public: { algorithm }, reference, label }) => [id, algorithm, reference, label])),
    document: {
      keys: fit.map(({ id, public: { algorithm }, reference: signer, label }) => ({ id, algorithm, signer, label })),
      unfit: unfit.map(({ label, why }) => ({ label, why })),
    },
  }
}
