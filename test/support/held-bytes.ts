import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes that somebody in this process holds: of buffers, and of all other objects. */
export function heldBytes(): { readonly buffers: number; readonly objects: number } {
  collect()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return { buffers: arrayBuffers, objects: heapUsed }
}
