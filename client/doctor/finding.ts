/** What was found out about the engines of a machine. */
import type { Gateway } from './gateway.ts'
import type { Machine } from './machine.ts'

export type EngineName = 'docker' | 'containerd' | 'podman'

/**
 * `hole`: an unsigned or moved image gets in by it. `warning`: it does not by itself, and is not as one would want it.
 * `unknown`: it could not be found out.
 */
export type Level = 'hole' | 'warning' | 'unknown'

export type Finding = {
  readonly engine: EngineName
  readonly level: Level
  /** For programs; the guide lists them. */
  readonly code: string
  /** `/etc/docker/daemon.json:3`, as the machine itself would call it. */
  readonly where: string
  readonly message: string
  /** What to write instead. */
  readonly mend: string
}

/** Undefined where nothing of an engine is on this machine. */
export type Check = (machine: Machine, gateway: Gateway) => readonly Finding[] | undefined
