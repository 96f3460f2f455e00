let abandoned = false

/**
 * For a call into a module that does not come back. Node waits for its threads before it ends, and this one sleeps in
 * somebody else's code for ever: so at its end the process becomes a shell that has nothing but the exit code.
 */
export function abandonThread(): void {
  if (abandoned || process.execve === undefined) return
  abandoned = true
  process.once('exit', (code) => {
    process.execve?.('/bin/sh', ['sh', '-c', `exit ${code}`], {})
  })
}
