/** Whether enforcement is live on a machine: what its configurations say, and what happens to an image that must not pass. */
import type { Context } from '../context.ts'
import type { ImageReference } from '../registry/reference.ts'
import { TRIED_ENGINES, tryEngine, tryGateway } from './canary.ts'
import type { Trial, TriedEngine } from './canary.ts'
import { CERTS, certsFolders, checkContainerd, readConfig } from './containerd.ts'
import { checkDocker } from './docker.ts'
import type { Check, EngineName, Finding } from './finding.ts'
import type { Gateway } from './gateway.ts'
import { openMachine } from './machine.ts'
import type { Machine } from './machine.ts'
import { checkPodman } from './podman.ts'
import { Broken } from './spot.ts'

export type Checked = { readonly engine: EngineName; readonly findings: readonly Finding[] | undefined }
export type Diagnosis = { readonly engines: readonly Checked[]; readonly trials: readonly Trial[] }

const CHECKS: Readonly<Record<EngineName, Check>> = {
  docker: checkDocker,
  containerd: checkContainerd,
  podman: checkPodman,
}

/** Reads and runs nothing; for tests, images of machines, and after a change. */
export function checkMachine(machine: Machine, gateway: Gateway): readonly Checked[] {
  return (['docker', 'containerd', 'podman'] as const).map((engine) => ({
    engine,
    findings: guarded(engine, () => CHECKS[engine](machine, gateway)),
  }))
}

function guarded(engine: EngineName, check: () => readonly Finding[] | undefined): readonly Finding[] | undefined {
  try {
    return check()
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    const where = `${error.file}:${error.line}`
    const mend = 'run it as a user who may read it'
    return [{ engine, level: 'unknown', code: 'UNREADABLE', where, message: error.message, mend }]
  }
}

export type DiagnosisOptions = {
  readonly root: string
  readonly gateway: Gateway
  readonly canary: ImageReference
  /** The engines that are told to pull it. */
  readonly engines: readonly TriedEngine[]
  /** Nothing is asked or run. */
  readonly configOnly: boolean
}

export async function diagnose(context: Context, options: DiagnosisOptions): Promise<Diagnosis> {
  const machine = openMachine(options.root)
  const engines = checkMachine(machine, options.gateway)
  if (options.configOnly) return { engines, trials: [] }
  const trials = [await tryGateway(context, options.gateway, options.canary)]
  const idle = `${options.root === '/' ? 'it was not asked for' : 'no engine of this machine is tried'}; --try ENGINE does`
  for (const engine of TRIED_ENGINES) {
    trials.push(
      options.engines.includes(engine)
        ? await tryEngine(context, engine, options.canary, machine.place(hostsFolder(machine)))
        : { by: engine, outcome: 'not tried', words: idle },
    )
  }
  return { engines, trials }
}

function hostsFolder(machine: Machine): string {
  try {
    return certsFolders(readConfig(machine))?.[0] ?? CERTS
  } catch (error) {
    if (error instanceof Broken) return CERTS // it is told among the findings
    throw error
  }
}

/** 1 for a hole, 3 where something that matters could not be found out, 0 for enforced. */
export function exitOf({ engines, trials }: Diagnosis): 0 | 1 | 3 {
  const levels = new Set(engines.flatMap(({ findings }) => (findings ?? []).map(({ level }) => level)))
  const outcomes = new Set(trials.map(({ outcome }) => outcome))
  if (levels.has('hole') || outcomes.has('admitted')) return 1
  const isNobodyHere = engines.every(({ findings }) => findings === undefined)
  return levels.has('unknown') || outcomes.has('unknown') || isNobodyHere ? 3 : 0
}
