/** What emits, whichever events it has. */
interface Emitter {
  emit(event: string, ...details: unknown[]): boolean;
}

/**
 * Emits an event; what a listener throws becomes an uncaught exception of its own and stops nobody else's work. So does
 * an `'error'` that has no listener. Whether there was a listener.
 */
export function emit(emitter: object, event: string, ...details: readonly unknown[]): boolean {
  try {
    return (emitter as Emitter).emit(event, ...details);
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
    return true;
  }
}
