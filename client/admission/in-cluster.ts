/** Whether a policy can be followed where nothing of this machine is: with its folder alone, and one for secrets. */
import { join, resolve } from 'node:path/posix'
import { basename } from 'node:path'
import { usage } from '../commands/errors.ts'
import { isLoopback } from '../http.ts'
import type { FilePolicy } from '../policy/policy.ts'
import type { Place } from '../policy/reader.ts'
import type { WrittenRule } from '../policy/rules.ts'

export const POLICY_FOLDER = '/etc/tagseal'
/** What nobody but the webhook is to read does not go into a configuration map. */
export const SECRETS_FOLDER = '/etc/tagseal-secrets'
export const SECRETS = 'tagseal-admission-secrets'

/** A rule that nothing can meet there would block the cluster. Throws USAGE with its place. */
export function refuseStranded({ written }: FilePolicy, namespace: string): void {
  for (const rule of written) {
    const stranded = whyStranded(rule, namespace)
    if (stranded !== undefined) throw usage(`${rule.where}: ${stranded.why}`, stranded.next)
  }
}

/** The names of the files that have to be in the secret. */
export function secretsOf({ written }: FilePolicy): readonly string[] {
  return written.flatMap((rule) => {
    const name = rule.kind === 'signed' && rule.tokenFile !== undefined ? secretIn(rule.tokenFile) : undefined
    return name === undefined ? [] : [name]
  })
}

type Stranded = { readonly why: string; readonly next: string }

/** What stands under `upstream` is for gateways: the webhook asks no registry. */
function whyStranded(rule: WrittenRule, namespace: string): Stranded | undefined {
  if (rule.kind !== 'signed') return undefined
  const { pin, server, ca, tokenFile } = rule
  if (pin === undefined) {
    const why = 'it has no pin, and what this machine trusts is not in the cluster'
    return { why, next: 'pin: { keys: [ID, ...] } or pin: { root: FILE } in the rule' }
  }
  if (server === undefined) {
    return {
      why: 'it has no trust server, and that of this machine is not in the cluster',
      next: 'server: URL in the rule',
    }
  }
  if (isLoopback(new URL(server).hostname)) {
    return {
      why: `${server} is this machine here, and in the cluster each pod itself`,
      next: 'server: the URL by which pods reach the trust server',
    }
  }
  const astray = whyAstray('root', pin.kind === 'root-file' ? pin.place : undefined) ?? whyAstray('ca', ca)
  if (astray !== undefined) return astray
  if (tokenFile === undefined || secretIn(tokenFile) !== undefined) return undefined
  const name = basename(tokenFile)
  return {
    why: `${tokenFile} is a secret, and does not go into a configuration map`,
    next: `write tokenFile: ${SECRETS_FOLDER}/${name}, and kubectl create secret generic ${SECRETS} --namespace ${namespace} --from-file=${name}=FILE`,
  }
}

/** A file that goes into the configuration map with the policy, and lies beside it there. */
function whyAstray(member: string, place: Place | undefined): Stranded | undefined {
  if (place === undefined) return undefined
  const file = place.text()
  const name = basename(file)
  if (!/^[-._A-Za-z0-9]+$/.test(name))
    return { why: `${name} cannot be a name in a configuration map`, next: 'rename it' }
  if (resolve(POLICY_FOLDER, file) === join(POLICY_FOLDER, name)) return undefined
  return {
    why: `${file} leads elsewhere in the cluster`,
    next: `put it beside the policy, and write ${member}: ${name}`,
  }
}

function secretIn(file: string): string | undefined {
  const name = basename(file)
  return /^[-._A-Za-z0-9]+$/.test(name) && file === `${SECRETS_FOLDER}/${name}` ? name : undefined
}
