// One worker of graphile-worker, told by its argument how to run. It says "ready", then now and then how many jobs it
// has done, and ends with its input.
import { Logger, run } from "graphile-worker";

const { connectionString, concurrency, batched } = JSON.parse(process.argv[2]);
let done = 0;
let told = 0;
let last = 0;

const runner = await run({
  connectionString,
  concurrency,
  noHandleSignals: true,
  logger: new Logger(() => () => {}),
  preset: batched ? { worker: { localQueue: { size: 500 }, completeJobBatchDelay: 0 } } : {},
  taskList: {
    deliver: async (payload) => {
      if (payload.note.length > 0) done += 1;
      last = Date.now();
    },
  },
});
setInterval(() => {
  if (done !== told) console.log(JSON.stringify({ done, last }));
  told = done;
}, 20);
process.stdin.on("end", async () => {
  await runner.stop();
  process.exit(0);
});
process.stdin.resume();
console.log("ready");
