import { stat } from 'node:fs/promises'
import { isAbsolute, resolve } from 'node:path'
import { readPemBlocks, writePem } from '../../keys/pem.ts'
import { publicMaterial } from '../../keys/schemes/table.ts'
import type { Context } from '../context.ts'
import type { Diagnosis } from '../doctor/doctor.ts'
import { readUserFile } from '../files.ts'
import { nearest } from '../nearest.ts'
import { RegistryError } from '../registry/errors.ts'
import { parseImage } from '../registry/reference.ts'
import { defineCommand, flag, list, text } from './declare.ts'
import type { Answer } from './declare.ts'
import { usage } from './errors.ts'
import type { CommandError } from './errors.ts'
import { POLICY_OPTION } from './policy-option.ts'

const MAX_PEM = 32 * 1024
const GATEWAY = 'http://127.0.0.1:5080'
/** There for everybody, small, and signed by nobody under anybody's pins. */
const CANARY = 'docker.io/library/hello-world:latest'

export const doctorCommand = defineCommand({
  operands: {},
  options: {
    gateway: text('URL', `the gateway that engines are to pull through; ${GATEWAY} where nothing is said`),
    root: text('DIR', 'look at the machine whose files are below this folder'),
    canary: text('IMAGE', `an image that is there and must be refused; ${CANARY} where nothing is said`),
    try: list(
      'ENGINE',
      'have docker, podman or containerd pull the canary; all of them where nothing is said, and none with --root',
    ),
    'config-only': flag('read configurations only; ask no gateway and run no engine'),
    write: text('ENGINE', 'write the configuration of docker, containerd, podman, or the verifier of containerd 2'),
    registry: list(
      'HOST',
      'with --write podman: what may be pulled; the registries of the policy where nothing is said',
    ),
    'bridge-key': text(
      'FILE',
      'with --write podman: the public key that "tagseal gateway --print-bridge-key" printed, to check signatures by',
    ),
    agent: text('SOCKET', 'with --write verifier: the agent to ask'),
    program: text('FILE', 'with --write verifier: where tagseal is on that machine; this one where nothing is said'),
    policy: POLICY_OPTION,
    yes: flag('with --write: write it, after showing what changes'),
  },
  examples: [
    'tagseal doctor --gateway https://gateway.example.com',
    'tagseal doctor --write containerd --gateway https://gateway.example.com --yes',
  ],
  notes:
    'Exits with 0 where every engine found here enforces, 1 where an unsigned or moved image could get in, 3 where that could not be found out.',
  async run(context, input) {
    const write = input.text('write')
    refuseIdle(input, write)
    const doctor = await import('../doctor/main.ts')
    const gateway = doctor.gatewayAt(input.text('gateway') ?? GATEWAY)
    const root = input.text('root') ?? '/'
    await refuseNoFolder(root, write !== undefined)
    if (write !== undefined) {
      if (!doctor.isPlanable(write)) throw noneOf(write, ['docker', 'containerd', 'podman', 'verifier'])
      const wish = {
        registries:
          write === 'podman' ? await registriesFor(context, input.list('registry'), input.text('policy')) : [],
        bridge: await optionally(input.text('bridge-key'), bridgeKeyIn),
        verifier: write === 'verifier' ? verifierFor(context, input, root) : [],
      }
      return await doctor.writeConfiguration(context, { what: write, root, gateway, ...wish, yes: input.flag('yes') })
    }
    const named = input.list('try')
    const engines =
      named.length === 0 && root === '/' ? doctor.TRIED_ENGINES : named.map(engineOf(doctor.isTriedEngine))
    const canary = parseImage(input.text('canary') ?? CANARY)
    const configOnly = input.flag('config-only')
    const diagnosis = await doctor.diagnose(context, { root, gateway, canary, engines, configOnly })
    return answerOf(diagnosis, doctor.exitOf(diagnosis))
  },
})

function noneOf(text: string, known: readonly string[]): CommandError {
  const meant = nearest(text, known)
  return usage(`${text} is none of ${known.join(', ')}`, meant === undefined ? undefined : `did you mean ${meant}?`)
}

function engineOf<T extends string>(isEngine: (text: string) => text is T): (text: string) => T {
  return (engine) => {
    if (isEngine(engine)) return engine
    throw noneOf(engine, ['docker', 'podman', 'containerd'])
  }
}

type Said = {
  readonly text: (name: 'policy' | 'bridge-key' | 'agent' | 'program' | 'canary') => string | undefined
  readonly list: (name: 'registry' | 'try') => readonly string[]
  readonly flag: (name: 'yes' | 'config-only') => boolean
}

/** What would be passed over without a word. */
function refuseIdle(input: Said, write: string | undefined): void {
  const said = {
    registry: input.list('registry').length > 0,
    'bridge-key': input.text('bridge-key') !== undefined,
    agent: input.text('agent') !== undefined,
    program: input.text('program') !== undefined,
  }
  const OF = { registry: 'podman', 'bridge-key': 'podman', agent: 'verifier', program: 'verifier' } as const
  for (const name of ['registry', 'bridge-key', 'agent', 'program'] as const)
    if (said[name] && write !== OF[name]) throw usage(`--${name} is for ${OF[name]}`, `--write ${OF[name]}`)
  if (input.flag('yes') && write === undefined) throw usage('--yes goes with --write')
  if (write === undefined) return
  const isTried = input.list('try').length > 0 || input.text('canary') !== undefined || input.flag('config-only')
  if (isTried) throw usage('--canary, --try and --config-only do not go with --write', 'run it again without --write')
}

/** Of a folder that is misspelt, "not found" would be said of every engine. What is written may be the first in it. */
async function refuseNoFolder(root: string, isWritten: boolean): Promise<void> {
  const found = await stat(root).catch(() => undefined)
  if (found?.isDirectory() === true || (found === undefined && isWritten)) return
  throw usage(`there is no folder ${root}`, '--root DIR')
}

async function registriesFor(context: Context, named: readonly string[], policy: string | undefined) {
  const registries = named.length > 0 ? named : [...((await context.policy(policy))?.registries ?? [])]
  if (registries.length === 0) throw usage('which registries may be pulled from?', '--registry docker.io')
  for (const registry of registries) {
    if (!isRegistry(registry))
      throw usage(`${registry} is no registry: a host, with its port if it has one`, '--registry docker.io')
  }
  return registries
}

/** As it stands in front of names of images. */
function isRegistry(text: string): boolean {
  try {
    return !/[/@]/.test(text) && parseImage(`${text}/a/b`).registry === text
  } catch (error) {
    if (error instanceof RegistryError) return false
    throw error
  }
}

/** Called from wherever containerd runs, on the machine below `root`: of this one nothing counts there but its own paths. */
function verifierFor({ settings }: Context, input: Said, root: string): readonly string[] {
  const isHere = root === '/'
  const { home, ca } = isHere ? settings : settings.given
  const there = (option: string, path: string) => {
    if (isHere) return resolve(path)
    if (isAbsolute(path)) return path
    throw usage(`${option} ${path} is a path of that machine, and has to begin with /`, `${option} /etc/tagseal/...`)
  }
  const [policy, agent, program] = [input.text('policy'), input.text('agent'), input.text('program')]
  if (policy === undefined) throw usage('which policy is it to go by?', '--policy /etc/tagseal/policy.yaml')
  if (program === undefined && !isHere)
    throw usage('where is tagseal on that machine?', '--program /usr/local/bin/tagseal')
  const own =
    program === undefined ? [process.execPath, resolve(process.argv[1] ?? 'tagseal')] : [there('--program', program)]
  return [
    ...own,
    ...(home === undefined ? [] : ['--home', there('--home', home)]),
    ...(ca === undefined ? [] : ['--ca', there('--ca', ca)]),
    'verifier',
    '--policy',
    there('--policy', policy),
    ...(agent === undefined ? [] : ['--agent', there('--agent', agent)]),
  ]
}

async function optionally<T>(file: string | undefined, read: (file: string) => Promise<T>): Promise<T | undefined> {
  return file === undefined ? undefined : await read(file)
}

/** Of a private key nothing is written anywhere. */
async function bridgeKeyIn(file: string): Promise<string> {
  const [block, ...more] = readPemBlocks(Buffer.from(await readUserFile(file, MAX_PEM)).toString('latin1'), file)
  const key = block?.label === 'PUBLIC KEY' && more.length === 0 ? publicMaterial(block.der) : undefined
  if (key?.algorithm === 'ecdsa-p256') return writePem('PUBLIC KEY', key.spki)
  throw usage(`${file} holds no public ECDSA P-256 key`, 'tagseal gateway --bridge-key FILE --print-bridge-key')
}

function answerOf({ engines, trials }: Diagnosis, exit: 0 | 1 | 3): Answer {
  const lines = [
    ...engines.flatMap(({ engine, findings }) =>
      findings === undefined
        ? [`${engine}: not found`]
        : [
            `${engine}: ${summary(findings.map(({ level }) => level))}`,
            ...findings.flatMap(({ level, code, where, message, mend }) => [
              `  ${where}: ${level}: ${message} (${code})`,
              `    instead: ${mend}`,
            ]),
          ],
    ),
    ...trials.flatMap(({ by, outcome, words, hint }) => [
      `canary: ${by}: ${outcome === 'refused' ? 'refused, as it has to be' : outcome}: ${words}`,
      ...(hint === undefined ? [] : [`  hint: ${hint}`]),
    ]),
  ]
  const enforced = exit === 0 ? true : exit === 1 ? false : null
  return { lines, document: { enforced, engines, trials }, exit }
}

function summary(levels: readonly string[]): string {
  if (levels.includes('hole')) return 'an unsigned or moved image can get in'
  if (levels.includes('unknown')) return 'it could not be found out'
  const closed = 'nothing gets past the gateway by its configuration'
  return levels.includes('warning') ? `${closed}, but for what the warnings say` : closed
}
