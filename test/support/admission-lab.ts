import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openMetrics } from '../../client/admission/metrics.ts'
import { openNamespaces } from '../../client/admission/namespaces.ts'
import { openWebhook } from '../../client/admission/webhook.ts'
import { listen } from '../../client/gateway/listen.ts'
import { monotonicNow } from '../../client/monotonic.ts'
import { loadPolicy } from '../../client/policy/policy.ts'
import { Simulator, targetOf } from './simulator.ts'
import { openVerdictLab } from './verdict-lab.ts'

export const REPOSITORY = 'registry.example.com/team/app'

/** A webhook in this process, over a simulated repository. */
export type AdmissionLab = {
  readonly url: string
  readonly simulator: Simulator
  readonly sign: (tags: Readonly<Record<string, string>>) => void
  readonly pass: (milliseconds: number) => void
  /** While true, the trust server cannot be reached. */
  readonly setDown: (down: boolean) => void
  /** The trust server says nothing until this is over. */
  readonly setSilence: (silence: Promise<void>) => void
  readonly ask: (task: 'mutate' | 'validate', review: object, query?: string) => Promise<Asked>
  /** Whatever is sent, as it is. */
  readonly post: (
    path: string,
    body: string | Uint8Array,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<Posted>
  readonly get: (path: string) => Promise<Posted>
  /** Another policy, from the next review on. */
  readonly adopt: (rules: string) => Promise<void>
  readonly drain: () => void
  readonly log: readonly Readonly<Record<string, unknown>>[]
  readonly close: () => Promise<void>
}
export type Posted = { readonly status: number; readonly text: string }
export type Asked = {
  readonly allowed: boolean
  readonly message: string
  readonly code: number | undefined
  /** Our own code. */
  readonly reason: string
  /** The patched texts by their pointers. */
  readonly patches: Readonly<Record<string, string>>
  readonly warnings: readonly string[]
  readonly annotations: Readonly<Record<string, string>>
  readonly uid: string
}
export type AdmissionLabOptions = {
  readonly rules?: string
  readonly top?: string
  readonly signedOnce?: boolean
  readonly patience?: number
  readonly memory?: number
  /** What the first question of each engine waits for. */
  readonly opening?: Promise<void>
}

export function digestOf(content: string): string {
  return `sha256:${targetOf(content).hashes.get('sha256')}`
}

export async function openAdmissionLab(options: AdmissionLabOptions = {}): Promise<AdmissionLab> {
  const simulator = new Simulator()
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-admission-'))
  await writeFile(join(folder, 'root.json'), simulator.anchor())
  const load = async (rules: string) => {
    const path = join(folder, 'policy.yaml')
    await writeFile(path, policyText(rules, options))
    return loadPolicy(path, [])
  }
  const labs: ReturnType<typeof openVerdictLab>[] = []
  const log: Readonly<Record<string, unknown>>[] = []
  let down = false
  let silence: Promise<void> | undefined
  const namespaces = openNamespaces(await load(options.rules ?? ''), async (policy) => {
    await options.opening
    const own = openVerdictLab({ simulator })
    own.down = down
    own.silence = silence
    own.verdicts.adopt(policy)
    labs.push(own)
    return own.verdicts
  })
  const webhook = openWebhook({
    namespaces,
    metrics: openMetrics(),
    monotonic: monotonicNow,
    patience: options.patience ?? 5000,
    memory: options.memory ?? 64 * 1024 * 1024,
    log: (entry) => log.push(entry),
  })
  const handle = (...exchange: Parameters<typeof webhook.handle>) => void webhook.handle(...exchange)
  const { url, close } = await listen({ host: '127.0.0.1', port: 0, tls: undefined, handle })

  const send = async (path: string, init: RequestInit): Promise<Posted> => {
    const response = await fetch(url + path, init)
    return { status: response.status, text: await response.text() }
  }
  const post: AdmissionLab['post'] = async (path, body, headers = { 'content-type': 'application/json' }) =>
    await send(path, { method: 'POST', body: Buffer.from(body), headers })

  return {
    url,
    simulator,
    sign: (tags) =>
      simulator.sign(Object.fromEntries(Object.entries(tags).map(([tag, content]) => [tag, targetOf(content)]))),
    pass: (milliseconds) => labs.forEach((lab) => lab.pass(milliseconds)),
    setDown(next) {
      down = next
      for (const lab of labs) lab.down = next
    },
    setSilence(next) {
      silence = next
      for (const lab of labs) lab.silence = next
    },
    post,
    get: async (path) => await send(path, {}),
    async ask(task, review, query = '') {
      const { status, text } = await post(`/${task}${query}`, JSON.stringify(review))
      if (status !== 200) throw new Error(`${status}: ${text}`)
      return readAnswer(text)
    },
    adopt: async (rules) => namespaces.adopt(await load(rules)),
    drain: webhook.drain,
    log,
    async close() {
      for (const lab of labs) lab.close()
      await close(0)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function policyText(rules: string, { top = '', signedOnce = false }: AdmissionLabOptions): string {
  return `version: 1
${top}
rules:
  - pattern: ${REPOSITORY}
    pin: { root: root.json }
    server: https://trust.example.com
    signedOnce: ${signedOnce}
  - pattern: registry.example.com/open/**
    unsigned: true
  - pattern: registry.example.com/never/**
    refuse: true
${rules}`
}

type Answer = {
  readonly apiVersion: string
  readonly kind: string
  readonly response: {
    readonly uid: string
    readonly allowed: boolean
    readonly status?: { readonly code: number; readonly message: string }
    readonly patchType?: string
    readonly patch?: string
    readonly warnings?: readonly string[]
    readonly auditAnnotations: Readonly<Record<string, string>>
  }
}
type Operation = { readonly op: string; readonly path: string; readonly value: string }

/** Reads an answer as an API server does. */
export function readAnswer(text: string): Asked {
  const { apiVersion, kind, response } = JSON.parse(text) as Answer
  if (apiVersion !== 'admission.k8s.io/v1' || kind !== 'AdmissionReview') throw new Error(`no review: ${text}`)
  const { uid, allowed, patchType, patch, status, warnings = [], auditAnnotations: annotations } = response
  if ((patch === undefined) !== (patchType !== 'JSONPatch')) throw new Error('patch and patchType go together')
  const operations = patch === undefined ? [] : (JSON.parse(Buffer.from(patch, 'base64').toString()) as Operation[])
  if (operations.some(({ op }) => op !== 'replace')) throw new Error('only replacements are expected')
  return {
    uid,
    allowed,
    message: status?.message ?? '',
    code: status?.code,
    reason: annotations['outcome'] ?? '',
    patches: Object.fromEntries(operations.map(({ path, value }) => [path, value])),
    warnings,
    annotations,
  }
}
