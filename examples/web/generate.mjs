// Generates with transformers.js in Node, greedily and offline: `node examples/web/generate.mjs onnx 7 3`.
// Prints one line of JSON per prompt, with its ids and its text.
import path from "node:path";
import { AutoModelForCausalLM, AutoTokenizer, env } from "@huggingface/transformers";

const [folder, ...prompts] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = path.resolve(folder, "..") + path.sep;
const name = path.basename(path.resolve(folder));

const tokenizer = await AutoTokenizer.from_pretrained(name);
const model = await AutoModelForCausalLM.from_pretrained(name);
// all prompts have one token, so the batch needs no padding
const output = await model.generate({ ...tokenizer(prompts), do_sample: false });
const end = model.generation_config.eos_token_id;
for (const row of output.tolist()) {
  let ids = row.map(Number);
  // transformers.js continues after the end of a text until all texts of the batch have ended
  if (ids.includes(end)) ids = ids.slice(0, ids.indexOf(end) + 1);
  console.log(JSON.stringify({ ids, text: tokenizer.decode(ids, { skip_special_tokens: false }) }));
}
