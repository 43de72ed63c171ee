"""Five pairs of claims in which the articles say opposite things. Which side is right where is found by the runs."""

from whyloss.claims.claim import Contradiction, Text

CONTRADICTIONS = (
    Contradiction(
        "C-1",
        Text("Do the gradients of MSE vanish, or do they explode?", "MSE 的梯度是消失,还是爆炸?"),
        ("S1-5", "S1-6/8"),
        Text(
            "Ask what the squared error is taken of: a link that saturates bounds the gradient and can silence it, "
            "linear outputs do the opposite; `whyloss show brier` draws the first, `whyloss show squared` the second.",
            "先问平方误差作用在什么上:会饱和的链接函数使梯度有界,也可能使其消失;线性输出则相反。`whyloss show brier` "
            "画出前者,`whyloss show squared` 画出后者。",
        ),
    ),
    Contradiction(
        "C-2",
        Text("Which loss is the one that outliers hurt, MSE or cross-entropy?", "受离群值影响的是 MSE 还是交叉熵?"),
        ("S1-4", "S2-14"),
        Text(
            "Find out which outliers you have, far features or wrong labels: `whyloss advise data.csv --label y` "
            "reports both.",
            "先弄清是哪种离群值,是特征远离还是标签错误:`whyloss advise data.csv --label y` 两者都会报告。",
        ),
    ),
    Contradiction(
        "C-3",
        Text(
            "Is the minority ignored by cross-entropy, or does it weigh too much?",
            "少数类是被交叉熵忽视,还是权重过大?",
        ),
        ("S2-6/15", "S2-7"),
        Text(
            "Keep cross-entropy and move the threshold to the price of the two mistakes: "
            "`whyloss advise data.csv --label y` finds it.",
            "保留交叉熵,按两种错误的代价移动阈值:`whyloss advise data.csv --label y` 会找出该阈值。",
        ),
    ),
    Contradiction(
        "C-4",
        Text("Is the gradient of cross-entropy too small, or large?", "交叉熵的梯度是太小,还是很大?"),
        ("S2-8", "S2-11"),
        Text(
            "Look at the rows that are still wrong: their gradient decides how fast training goes; "
            "`whyloss show ce` draws it.",
            "看仍然分错的样本:它们的梯度决定训练速度;`whyloss show ce` 画出该梯度。",
        ),
    ),
    Contradiction(
        "C-5",
        Text("Is cross-entropy hard to interpret, or easy?", "交叉熵是难以解释,还是容易解释?"),
        ("S2-4", "S2-13"),
        Text(
            "Report accuracy for decisions, and `exp(-loss)`, the geometric mean probability of the labels, for "
            "probabilities.",
            "决策用准确率报告,概率用 `exp(-loss)`,即标签概率的几何平均。",
        ),
    ),
)
