// The words of the experiments.
export default {
  en: {
    title: "Experiments", about: "Graphs tried on data sets. Whiskers are 95% intervals: where they overlap, a difference may be chance.",
    none: "No experiments yet", noneHint: "The terminal runs them:", again: "Try again", back: "All experiments",
    compare: "Compare", chooseTwo: "Choose two to compare them ({count} of 2).", twoChosen: "The older one is A, the newer one B.", choose: "Choose", chooseThis: "Choose {name} to compare",
    experiment: "Experiment", dataset: "Data set", state: "State", started: "Started", complete: "complete", incomplete: "incomplete",
    runs: "Runs", failed: "Failed", scores: "Scores", scoresPlot: "Mean scores with intervals", noScores: "Nothing has been scored yet.",
    examples: "{count} examples", unjudged: "{count} not judged", inapplicable: "{count} do not apply", "better.higher": "higher is better", "better.lower": "lower is better",
    results: "Examples", more: "Show more", settings: "What it was made of",
    comparison: "Comparison", shared: "{count} shared examples, intervals of {confidence}.", differences: "Differences, B less A", differencesPlot: "Differences of scores with intervals",
    measures: "Measures, relative to A", measuresPlot: "Relative differences with intervals", score: "Score", difference: "Difference", winsTiesLosses: "B better / same / worse",
    scale: "B is better in {wins}, the same in {ties}, worse in {losses}", distribution: "Distribution", plot: "Plot", "plot.histogram": "histogram", "plot.scatter": "A against B", plotOf: "{plot} of {key}",
    settingsDiffer: "What differs between them", setting: "Setting", pairs: "Examples that differ", by: "Ordered by", alsoSame: "Also those that are the same", shownPairs: "{count} of {all}, those that lost most first", noAnswer: "(no answer)",
  },
  ko: {
    title: "실험", about: "데이터셋으로 그래프를 시험한 결과입니다. 수염은 95% 구간이며, 겹치면 차이가 우연일 수 있습니다.",
    none: "아직 실험이 없습니다", noneHint: "터미널에서 실행합니다:", again: "다시 시도", back: "모든 실험",
    compare: "비교", chooseTwo: "비교할 두 개를 고르세요 (2개 중 {count}개).", twoChosen: "먼저 한 실험이 A, 나중 것이 B입니다.", choose: "선택", chooseThis: "비교할 실험으로 {name} 선택",
    experiment: "실험", dataset: "데이터셋", state: "상태", started: "시작", complete: "완료", incomplete: "미완료",
    runs: "실행", failed: "실패", scores: "점수", scoresPlot: "평균 점수와 구간", noScores: "아직 채점한 것이 없습니다.",
    examples: "예제 {count}개", unjudged: "채점 못함 {count}개", inapplicable: "해당 없음 {count}개", "better.higher": "높을수록 좋음", "better.lower": "낮을수록 좋음",
    results: "예제", more: "더 보기", settings: "구성",
    comparison: "비교", shared: "공통 예제 {count}개, {confidence} 구간입니다.", differences: "차이 (B − A)", differencesPlot: "점수 차이와 구간",
    measures: "측정값 (A 대비)", measuresPlot: "상대 차이와 구간", score: "점수", difference: "차이", winsTiesLosses: "B가 나음 / 같음 / 못함",
    scale: "B가 나은 예제 {wins}개, 같은 예제 {ties}개, 못한 예제 {losses}개", distribution: "분포", plot: "그림", "plot.histogram": "히스토그램", "plot.scatter": "A와 B 대조", plotOf: "{key}의 {plot}",
    settingsDiffer: "두 실험의 다른 점", setting: "설정", pairs: "달라진 예제", by: "정렬 기준", alsoSame: "같은 예제도 보기", shownPairs: "{all}개 중 {count}개, 많이 나빠진 것부터", noAnswer: "(답변 없음)",
  },
};
