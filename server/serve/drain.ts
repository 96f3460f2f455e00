import type { Server as HttpServer } from 'node:http'
import type { Socket } from 'node:net'

/** Runs `close`, which waits for running requests, and sees to it that it ends. */
export type Drain = (close: () => Promise<void>) => Promise<void>

/** Made before the server listens, so that it knows every connection. */
export function makeDrain(server: HttpServer, seconds: number): Drain {
  const sockets = socketsOf(server)
  return async (close) => {
    // Whoever still sends or reads after that long is cut off, so that a stop always ends.
    const deadline = setTimeout(() => cutOff(server, sockets), seconds * 1000)
    // A connection whose last request was answered after the stop began would otherwise wait for its next one.
    const idle = setInterval(() => server.closeIdleConnections(), 100)
    try {
      await close()
    } finally {
      clearTimeout(deadline)
      clearInterval(idle)
    }
  }
}

/** The open ones. HTTP's own list lacks those that have not finished, or never began, to speak TLS. */
function socketsOf(server: HttpServer): ReadonlySet<Socket> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return sockets
}

function cutOff(server: HttpServer, sockets: ReadonlySet<Socket>): void {
  server.closeAllConnections()
  for (const socket of sockets) socket.destroy()
}
