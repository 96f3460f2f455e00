import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes that somebody in this process holds: of buffers, and of all other objects. */
export function heldBytes(): { readonly buffers: number; readonly objects: number } {
  for (let i = 0; i < 3; i++) collect() // what only finalizers held goes with the next one
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return { buffers: arrayBuffers, objects: heapUsed }
}
