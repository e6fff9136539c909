// Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
// Selection of the candidates that are shown first: the best, or good ones that differ most, as in Python's pipeline.
"use strict";

// `candidates` have `image`, `score`, and `isRight`: whether the classifier assigns them to the class.
function select(candidates, selection, numShown) {
  const ranked = [...candidates].sort((one, other) => other.score - one.score); // equal scores keep their order
  const chosen = selection === "diverse" ? selectDiverse(ranked, numShown) : ranked.slice(0, numShown);
  return { chosen, passedOver: ranked.filter((candidate) => !chosen.includes(candidate)) };
}

// The best one that passes, then always the one farthest from those chosen so far, and the better one of equals; see
// `select_diverse`. If too few pass, the best of the others follow.
function selectDiverse(ranked, numShown) {
  const passes = ({ image, score, isRight }) => isRight && score >= settings.minScore && image.includes(1);
  const good = ranked.filter(passes),
    others = ranked.filter((candidate) => !passes(candidate));
  const chosen = new Set(good.slice(0, 1));
  const nearest = good.map(() => Infinity);
  let last = good[0];
  while (chosen.size < Math.min(numShown, good.length)) {
    good.forEach((candidate, index) => {
      nearest[index] = chosen.has(candidate)
        ? -1
        : Math.min(nearest[index], countDifferences(candidate.image, last.image));
    });
    last = good[nearest.indexOf(Math.max(...nearest))];
    chosen.add(last);
  }
  return [...good.filter((candidate) => chosen.has(candidate)), ...others].slice(0, numShown);
}

function countDifferences(image, other) {
  return image.reduce((sum, pixel, place) => sum + (pixel !== other[place]), 0);
}
